"""A task of my own: physbench tasks check examples/my_task.py"""

import math

from physbench.clips.task import Parameter, declare, draw
from physbench.tasks.helpers import HALF, RELEASE, holder, hue_name, hues
from physbench.world.scene import FLOOR_GREY, Body, Camera, Scene, sphere_mass

CENTER_Z = 2.2  # m, middle of the window above the floor


class TwoBalls:
    """A small and a large ball are thrown up alike and land at the same time.

    What happens: two balls rest on shelves at one height. The shelves vanish, both fly up, land and bounce on.
    Law: all bodies fall alike, z(t) = z0 + v t - g t^2 / 2, whatever their mass (Galilei 1638, Discorsi, first day).
    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in flight at 0, first contact in [0.25 s, 2.35 s], horizon 4 s.
    May be hidden: nothing.
    Version history: v1, first release.
    """

    id = "own/two-balls-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.8, "", "of ball and floor"),
        radius_a=Parameter("m", "visible", (0.40, 0.46), "of the small ball"),
        radius_b=Parameter("m", "visible", (0.54, 0.62), "of the large ball", ood=(0.66, 0.74)),
        **hues("hue_a", "hue_b"),
        release=RELEASE,
        height=Parameter("m", "visible", (0.6, 2.2), "of the lowest points above the floor"),
        velocity=Parameter("m/s", "visible", (1.5, 4.5), "upwards", ood=(4.6, 5.2)),
    )

    def sample(self, rng, split):
        return draw(self.parameters, rng, split, self.accepts)

    def accepts(self, p):
        """Different hues, contact in time, and the larger ball in view at its highest."""
        fall = (p["velocity"] + math.sqrt(p["velocity"] ** 2 + 2 * p["gravity"] * p["height"])) / p["gravity"]
        peak = p["height"] + p["velocity"] ** 2 / (2 * p["gravity"]) + 2 * p["radius_b"]
        return p["hue_a"] != p["hue_b"] and 0.25 <= p["release"] + fall <= 2.35 and peak <= CENTER_Z + HALF - 0.04

    def scene(self, p):
        bodies = []
        for name, x in (("a", -1.2), ("b", 1.2)):
            radius = p[f"radius_{name}"]
            ball = Body(
                f"ball {name}", "sphere", (radius,), "moving", (x, 0.0, p["height"] + radius),
                velocity=(0.0, 0.0, p["velocity"]), hue=int(p[f"hue_{name}"]), mass=sphere_mass(radius),
                restitution=p["restitution"], release=p["release"],
            )  # fmt: skip
            shelf = holder(f"holder {name}", (0.2, 0.2, 0.05), (x, 0.0, p["height"] - 0.05), p["release"])
            bodies += [ball, shelf]
        floor = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), grey=FLOOR_GREY)
        prompt = f"A {hue_name(p['hue_a'])} and a larger {hue_name(p['hue_b'])} ball are thrown up, land and bounce."
        camera = Camera("front", (0.0, 0.0, CENTER_Z))
        return Scene((*bodies, floor), camera, gravity=(0.0, 0.0, -p["gravity"]), horizon=4.0, prompt=prompt)
