"""Bodies, cameras, stepping and rendering. PyBullet lives here only."""
