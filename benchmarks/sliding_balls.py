"""Tasks for `speed.py` that differ in one thing each: how many balls slide side by side, and for how long."""

from __future__ import annotations

from collections.abc import Mapping

from physbench import Camera, Parameter, Scene, Task, ball, declare, held, table

LANES = 1.2  # m, from one ball to the next
SPEED = 0.25  # m/s, so slow that all stay in view for 8 s
RELEASE = -0.6  # s


class Sliding(Task):
    """Balls slide in straight lines, and touch nothing.

    What happens: blocks back one to four balls on a table seen from the top. The blocks vanish, and the balls slide.
    Law: p(t) = p0 + v t (Newton 1687, first law).
    Camera: from the top, 5.12 m wide. Actions: none.
    Hand-over: sliding at 0.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "speed/sliding-v1"
    parameters = declare(speed=Parameter("m/s", "visible", (0.9, 1.1), "over 0.25 m/s", ood=(1.2, 1.3)))
    count, seconds = 1, 4.0

    def accepts(self, p: Mapping[str, float]) -> bool:
        return True

    def scene(self, p: Mapping[str, float]) -> Scene:
        bodies = []
        for n in range(self.count):
            place = (-1.6, LANES * (n - (self.count - 1) / 2), 0.42)
            moving = ball(f"ball {n}", 0.42, place, n, velocity=(SPEED * p["speed"], 0.0, 0.0), release=RELEASE)
            bodies += [moving, held(moving, f"holder {n}")]
        return Scene(
            (*bodies, table()), Camera("top", (0.0, 0.0, 0.0)), horizon=self.seconds, prompt="Balls slide on a table."
        )


class TwoBalls(Sliding):
    __doc__, id, count = Sliding.__doc__, "speed/sliding-two-v1", 2


class FourBalls(Sliding):
    __doc__, id, count = Sliding.__doc__, "speed/sliding-four-v1", 4


class TwiceAsLong(Sliding):
    __doc__, id, seconds = Sliding.__doc__, "speed/sliding-long-v1", 8.0
