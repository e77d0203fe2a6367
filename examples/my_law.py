"""A task with a force and a law of its own: physbench tasks check examples/my_law.py"""

from dataclasses import dataclass

import numpy as np

import physbench as pb


@dataclass(frozen=True)
class Spring(pb.ForceField):
    """A straight spring from a point to a body; its force is that of its whole length."""

    body: str
    anchor: tuple  # m
    rate: float  # rad/s, the root of stiffness over mass

    def accelerations(self, scene, position, velocity, time):
        pull, i = np.zeros_like(position), scene.index(self.body)
        pull[..., i, :] = self.rate**2 * (np.array(self.anchor) - position[..., i, :])
        return pull

    def energy(self, scene, position):
        i = scene.index(self.body)
        return scene.bodies[i].mass * self.rate**2 * ((position[..., i, :] - self.anchor) ** 2).sum(axis=-1) / 2


class SpringLaw(pb.SceneLaw):
    """Harmonic motion, x(t) = x0 cos(w t) + v0 / w sin(w t) from the anchor."""

    name = "spring"
    fields = (Spring,)
    constants = (pb.LawConstant("stiffness", "the spring were {value} times as stiff", "stiffness"),)

    def simulate(self, states, times, constants):
        (spring,) = self.scene.fields
        rate = spring.rate * np.sqrt(constants[:, 0])[:, None, None, None]
        angle, anchor = rate * (times - times[0])[:, None, None], np.array(spring.anchor[:2])  # seen from the top
        away, velocity = states[:, None, :, :2] - anchor, states[:, None, :, 2:]
        position = anchor + away * np.cos(angle) + velocity / rate * np.sin(angle)
        return np.concatenate([position, velocity * np.cos(angle) - away * rate * np.sin(angle)], axis=-1)


class BallOnSpring(pb.Task):
    """A ball on a spring is pushed off from its point of rest and swings to and fro.

    What happens: a ball leans on a block, which vanishes; it moves off along the spring and turns back.
    Law: a = -w^2 x, whatever the amplitude (Hooke 1678, De potentia restitutiva).
    Camera: from the top, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in motion at 0, turns back before 2.4 s, horizon 4 s.
    May be hidden: nothing.
    Version history: v1, first release.

    {parameters}
    """

    id = "own/ball-on-spring-v1"
    parameters = pb.declare(
        radius=pb.Parameter("m", "visible", (0.40, 0.50), "of the ball"),
        rate=pb.Parameter("rad/s", "visible", (1.8, 2.6), "of the oscillation", ood=(2.8, 3.2)),
        velocity=pb.Parameter("m/s", "visible", (2.0, 3.6), "at the release, along x", signed=True),
        release=pb.RELEASE,
        **pb.hues("hue"),
    )

    def accepts(self, p):
        """In view where it turns."""
        return pb.inside((abs(p["velocity"]) / p["rate"],), p["radius"])

    def scene(self, p):
        ball = pb.ball("ball", p["radius"], (0, 0, 0), p["hue"], velocity=(p["velocity"], 0, 0), release=p["release"])
        spring = Spring("ball", (0.0, 0.0, 0.0), p["rate"])
        prompt = f"A {pb.hue_name(p['hue'])} ball on a spring swings to and fro."
        bodies = (ball, pb.held(ball, "holder"), pb.table())
        return pb.Scene(bodies, pb.Camera("top", (0.0, 0.0, 0.0)), fields=(spring,), prompt=prompt)
