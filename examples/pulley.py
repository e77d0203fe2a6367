"""A task with a pulley: physbench tasks check examples/pulley.py"""

from dataclasses import replace

from physbench import (
    RELEASE,
    Body,
    Camera,
    Parameter,
    Scene,
    String,
    Task,
    ball,
    declare,
    event_in,
    floor,
    hue_name,
    hues,
)
from physbench.world.bodies import shelf

PULLEY_Z, CENTER_Z = 4.5, 2.2  # m above the ground: the pulleys, the middle of the window


class Pulley(Task):
    """Two balls on one string over two pulleys: the heavier one is thrown up, turns and draws the other one up.

    What happens: a shelf carries the heavier ball. It vanishes, and a push sets both in motion, that one upwards.
    Law: a = g (M - m) / (M + m) of both, downwards of the heavier one (Atwood 1784, Rectilinear motion).
    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in motion at 0; both turn back in [0.25 s, 1.75 s]; horizon 3 s.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "own/pulley-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        light=Parameter("m", "visible", (0.40, 0.42), "radius of the lighter ball"),
        heavy=Parameter("m", "visible", (0.44, 0.47), "radius of the heavier ball"),
        **hues("light_hue", "heavy_hue"),
        release=RELEASE,
        speed=Parameter("m/s", "visible", (1.4, 2.2), "of both at the release", ood=(2.3, 2.6)),
        height=Parameter("m", "visible", (0.9, 2.6), "of the middle of the heavier ball above the ground"),
        side=Parameter("m", "visible", (0.8, 1.4), "of the heavier ball, to the right of the middle", signed=True),
    )

    def accepts(self, p):
        """Different hues; both turn back in time and stay between the ground and the pulleys."""
        rate = p["gravity"] * (p["heavy"] ** 3 - p["light"] ** 3) / (p["heavy"] ** 3 + p["light"] ** 3)
        turn, end = p["speed"] / rate, 3.0 - p["release"]
        highest, lowest = p["height"] + p["speed"] * turn / 2, p["height"] + p["speed"] * end - rate * end**2 / 2
        stays = lowest > 0.5 and highest < 3.8  # the lighter ball is as much below 4.3 m as the other above the ground
        return p["light_hue"] != p["heavy_hue"] and event_in(p["release"] + turn, horizon=3.0) and stays

    def scene(self, p):
        bodies, length = [replace(floor(), collides=False)], 2 * abs(p["side"])
        for name, way, z in (("heavy", 1, p["height"]), ("light", -1, 4.3 - p["height"])):
            x, velocity = way * p["side"], (0.0, 0.0, way * p["speed"])
            one = ball(name, p[name], (x, 0.0, z), p[f"{name}_hue"], velocity=velocity, release=p["release"])
            pulley = Body(f"{name} pulley", "sphere", (0.15,), "fixed", (x, 0.0, PULLEY_Z), grey=0.3, collides=False)
            bodies, length = [*bodies, replace(one, collides=False), pulley], length + PULLEY_Z - z
        string = String("heavy", "light", length, over=("heavy pulley", "light pulley"))
        prompt = (
            f"A {hue_name(p['heavy_hue'])} ball, on a shelf that vanishes, and a lighter {hue_name(p['light_hue'])} "
        )
        return Scene(
            (*bodies, shelf("shelf", p["side"], p["height"] - p["heavy"], p["release"])),
            Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=(string,),
            horizon=3.0,
            prompt=prompt + "one hang on one string over two pulleys. A push sets the heavier one in motion, upwards.",
        )
