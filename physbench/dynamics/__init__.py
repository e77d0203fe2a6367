"""Forward models that need no PyBullet: a planar event-driven simulator, Kepler orbits, ramps, impacts."""
