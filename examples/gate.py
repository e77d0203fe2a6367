"""A task with a hinge: physbench tasks check examples/gate.py"""

import math
from dataclasses import replace

from physbench import RELEASE, Body, Camera, Hinge, Parameter, Scene, Task, declare, event_in, floor, hue_name, hues
from physbench.world.bodies import holder

TOP, CENTER_Z = 4.2, 2.2  # m above the ground: the axis of the hinge, the middle of the window
WIDTH, OVER = 0.2, 0.15  # m: half of the bar's, and how far it reaches beyond the axis


class Gate(Task):
    """A bar hangs on a hinge near its end and swings.

    What happens: a grey block holds the bar aside. The block vanishes, and the bar swings to the other side and back.
    Law: a compound pendulum (Huygens 1673, Horologium oscillatorium, part IV).
    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in motion at 0; first turning point in [0.25 s, 2.35 s]; horizon 4 s.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "own/gate-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        half=Parameter("m", "visible", (1.3, 1.45), "half length of the bar"),
        **hues("hue"),
        release=RELEASE,
        angle=Parameter("rad", "visible", (0.4, 0.6), "of the bar from the vertical", (0.65, 0.8), True),
    )

    def accepts(self, p):
        """The first turning point in time."""
        arm = p["half"] - OVER  # m, from the axis to the middle
        length = arm + (p["half"] ** 2 + WIDTH**2) / 3 / arm  # m, of the simple pendulum with the same period
        return event_in(p["release"] + math.pi * math.sqrt(length / p["gravity"]), spare=0.1)

    def scene(self, p):
        sin, cos, arm = math.sin(p["angle"]), math.cos(p["angle"]), p["half"] - OVER
        turn = (0.0, math.sin(-p["angle"] / 2), 0.0, math.cos(p["angle"] / 2))
        size, middle = (WIDTH, 0.1, p["half"]), (arm * sin, 0.0, TOP - arm * cos)
        bar = Body("bar", "box", size, "moving", middle, turn, hue=p["hue"], flat=True, release=p["release"])
        low = 1.2 * p["half"] - OVER, -math.copysign(WIDTH + 0.12, sin)  # m along the bar from the axis, and below it
        place = (low[0] * sin + low[1] * cos, 0.0, TOP - low[0] * cos + low[1] * sin)
        return Scene(
            (bar, holder("block", (0.1, 0.2, 0.2), place, p["release"]), replace(floor(), collides=False)),
            Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=(Hinge("bar", (0.0, 0.0, TOP)),),
            prompt=f"A {hue_name(p['hue'])} bar hangs on a hinge and is held aside by a grey block, which vanishes. "
            "The bar swings.",
        )
