"""A task with a curved board: physbench tasks check examples/bowl.py"""

import math

import numpy as np

from physbench import RELEASE, Camera, Parameter, Scene, Task, ball, curve, declare, event_in, holder, hue_name, hues

CENTER_Z = 1.6  # m, middle of the window above the lowest point of the bowl


class Bowl(Task):
    """A ball rolls down in a bowl and up the other side.

    What happens: a grey block holds a ball on the side of a bowl. The block vanishes, and the ball rolls to and fro.
    Law: a ball that rolls in a bowl swings as a pendulum as long as the bowl's radius less its own, under 5/7 of
    gravity (Huygens 1673, Horologium oscillatorium).
    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in motion at 0; turns back before 1.5 s; horizon 2.6 s.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "own/bowl-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.8, "", "of ball and bowl: it rolls"),
        ball_radius=Parameter("m", "visible", (0.40, 0.46), "of the ball"),
        bowl_radius=Parameter("m", "visible", (2.0, 2.5), "of the bowl"),
        angle=Parameter("rad", "visible", (0.45, 0.8), "of the ball from the bottom", (0.85, 1.0), signed=True),
        release=RELEASE,
        **hues("hue"),
    )

    def accepts(self, p):
        """Turns back in time."""
        half = math.pi * math.sqrt(1.4 * (p["bowl_radius"] - p["ball_radius"]) / p["gravity"])
        return event_in(p["release"] + half, horizon=2.6, spare=0.15)

    def scene(self, p):
        size, radius, side = p["bowl_radius"], p["ball_radius"], math.copysign(1.0, p["angle"])

        def place(angle, reach):
            return reach * math.sin(angle), size - reach * math.cos(angle)

        x, z = place(p["angle"], size - radius)
        rolling = ball("ball", radius, (x, 0.0, z), p["hue"], friction=p["friction"], release=p["release"])
        block = holder("holder", (0.05, 0.2, 0.2), (x - side * (radius + 0.06), 0.0, z), p["release"])
        bowl = curve("bowl", [place(angle, size) for angle in np.linspace(-1.2, 1.2, 17)], joint=0.06)
        prompt = f"A {hue_name(p['hue'])} ball is held on the side of a bowl by a grey block, which vanishes. It rolls."
        camera = Camera("front", (0.0, 0.0, CENTER_Z))
        return Scene((rolling, block, *bowl), camera, gravity=(0.0, 0.0, -p["gravity"]), horizon=2.6, prompt=prompt)
