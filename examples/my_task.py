"""A task of my own: physbench tasks check examples/my_task.py"""

import math

from physbench import (
    RELEASE,
    Camera,
    Parameter,
    Scene,
    Task,
    ball,
    declare,
    event_in,
    floor,
    hue_name,
    hues,
    inside,
    shelf,
)

CENTER_Z = 2.2  # m, middle of the window above the floor


class TwoBalls(Task):
    """A small and a large ball are thrown up alike and land at the same time.

    What happens: two balls rest on shelves at one height. The shelves vanish, both fly up, land and bounce on.
    Law: all bodies fall alike, z(t) = z0 + v t - g t^2 / 2, whatever their mass (Galilei 1638, Discorsi, first day).
    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in flight at 0, first contact in [0.25 s, 2.35 s], horizon 4 s.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
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

    def accepts(self, p):
        """Different hues, contact in time, and the larger ball in view at its highest."""
        fall = (p["velocity"] + math.sqrt(p["velocity"] ** 2 + 2 * p["gravity"] * p["height"])) / p["gravity"]
        peak = p["height"] + p["radius_b"] + p["velocity"] ** 2 / (2 * p["gravity"])  # of its middle
        in_view = inside((peak - CENTER_Z,), p["radius_b"])
        return p["hue_a"] != p["hue_b"] and event_in(p["release"] + fall, spare=0.05) and in_view

    def scene(self, p):
        bodies = []
        for name, x in (("a", -1.2), ("b", 1.2)):
            radius = p[f"radius_{name}"]
            thrown = ball(
                f"ball {name}", radius, (x, 0.0, p["height"] + radius), p[f"hue_{name}"],
                velocity=(0.0, 0.0, p["velocity"]), restitution=p["restitution"], release=p["release"],
            )  # fmt: skip
            bodies += [thrown, shelf(f"holder {name}", x, p["height"], p["release"])]
        prompt = f"A {hue_name(p['hue_a'])} and a larger {hue_name(p['hue_b'])} ball are thrown up, land and bounce."
        camera = Camera("front", (0.0, 0.0, CENTER_Z))
        return Scene((*bodies, floor()), camera, gravity=(0.0, 0.0, -p["gravity"]), horizon=4.0, prompt=prompt)
