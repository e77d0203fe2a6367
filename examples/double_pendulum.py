"""A task with a double pendulum: physbench tasks check examples/double_pendulum.py"""

import math
from dataclasses import replace

from physbench import RELEASE, Body, Camera, Parameter, Rod, Scene, Task, ball, declare, event_in, floor, hue_name, hues
from physbench.world.bodies import holder

KNOB_Z, CENTER_Z = 4.3, 2.2  # m above the ground: where the upper rod hangs, the middle of the window


class DoublePendulum(Task):
    """A ball swings on a rod, and another ball on a rod that hangs on the first.

    What happens: two grey blocks hold both balls aside. The blocks vanish, and each ball drags the other.
    Law: Lagrange's equations of both angles (Landau and Lifshitz, Mechanics, section 5); rods have no mass.
    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in motion at 0; first turning point in [0.25 s, 2.35 s]; horizon 4 s.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "own/double-pendulum-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        upper_radius=Parameter("m", "visible", (0.40, 0.44), "of the upper ball"),
        lower_radius=Parameter("m", "visible", (0.40, 0.48), "of the lower ball"),
        **hues("upper_hue", "lower_hue"),
        release=RELEASE,
        upper=Parameter("m", "visible", (1.3, 1.5), "length of the upper rod"),
        lower=Parameter("m", "visible", (1.3, 1.5), "length of the lower rod"),
        angle=Parameter("rad", "visible", (0.3, 0.5), "of both rods from the vertical", (0.55, 0.7), True),
    )

    def accepts(self, p):
        """Different hues; the slow swing of both, which lasts about as that of a pendulum of their length, turns."""
        half = math.pi * math.sqrt((p["upper"] + p["lower"]) / p["gravity"])
        return p["upper_hue"] != p["lower_hue"] and event_in(p["release"] + half, spare=0.1)

    def scene(self, p):
        bodies, x, z, sin, cos = [], 0.0, KNOB_Z, math.sin(p["angle"]), math.cos(p["angle"])
        for name in ("upper", "lower"):
            radius, x, z = p[f"{name}_radius"], x + p[name] * sin, z - p[name] * cos
            bodies.append(ball(name, radius, (x, 0.0, z), p[f"{name}_hue"], release=p["release"]))
            beside = x - math.copysign(radius + 0.06, sin)
            bodies.append(holder(f"{name} holder", (0.05, 0.2, 0.2), (beside, 0.0, z), p["release"]))
        knob = Body("knob", "sphere", (0.15,), "fixed", (0.0, 0.0, KNOB_Z), grey=0.3, collides=False)
        return Scene(
            (*bodies, knob, replace(floor(), collides=False)),
            Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=(Rod("knob", "upper", p["upper"]), Rod("upper", "lower", p["lower"])),
            prompt=f"A {hue_name(p['upper_hue'])} ball hangs on a rod, and a {hue_name(p['lower_hue'])} ball below it. "
            "Both are held aside by grey blocks, which vanish. The balls swing.",
        )
