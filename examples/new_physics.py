"""A task with new physics and no law of its own: physbench tasks check examples/new_physics.py"""

from dataclasses import dataclass

import numpy as np

import physbench as pb


@dataclass(frozen=True)
class SpringInWind(pb.ForceField):
    """A stiffening spring from a point to a body, in a wind across it that changes with time."""

    body: str
    rate: float  # rad/s, of small oscillations
    wind: float  # m/s2
    period: float  # s

    def accelerations(self, scene, position, velocity, time):
        found, i = np.zeros_like(position), scene.index(self.body)
        stretch2 = (position[..., i, :] ** 2).sum(axis=-1, keepdims=True)
        found[..., i, :] = -(self.rate**2) * (1 + 0.2 * stretch2) * position[..., i, :]
        found[..., i, 1] += self.wind * np.sin(2 * np.pi * time / self.period)
        return found


class SpringInTheWind(pb.Task):
    """A ball on a spring swings to and fro, and the wind blows it sideways.

    What happens: a ball leans on a block, which vanishes; it moves off along the spring and turns back, in gusts.
    Law: a = -w^2 (1 + .2 r^2) r, a spring that stiffens (Duffing 1918, Erzwungene Schwingungen), and the wind.
    Camera: from the top, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in motion at 0, turns back before 2.4 s, horizon 4 s.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "own/spring-in-the-wind-v1"
    parameters = pb.declare(
        radius=pb.Parameter("m", "visible", (0.40, 0.50), "of the ball"),
        rate=pb.Parameter("rad/s", "visible", (1.5, 2.2), "of small oscillations", ood=(2.4, 2.7)),
        velocity=pb.Parameter("m/s", "visible", (1.8, 3.0), "at the release, along x", signed=True),
        wind=pb.Parameter("m/s2", "visible", (0.4, 0.8), "at its strongest", signed=True),
        release=pb.RELEASE,
        **pb.hues("hue"),
    )

    def accepts(self, p):
        """In view where it turns."""
        return pb.inside((abs(p["velocity"]) / p["rate"],), p["radius"])

    def scene(self, p):
        ball = pb.ball("ball", p["radius"], (0, 0, 0), p["hue"], velocity=(p["velocity"], 0, 0), release=p["release"])
        force = SpringInWind("ball", p["rate"], p["wind"], 3.0)
        prompt = f"A {pb.hue_name(p['hue'])} ball on a spring swings to and fro in the wind."
        bodies = (ball, pb.held(ball, "holder"), pb.table())
        return pb.Scene(bodies, pb.Camera("top", (0.0, 0.0, 0.0)), fields=(force,), prompt=prompt)
