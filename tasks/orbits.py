"""Bodies under central gravity: one around a star, two around their barycentre, one that passes by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from physbench.clips.task import FREE_BORDER, HALF_WINDOW, RELEASE, Level, Parameter, Params, Task, declare, hues
from physbench.laws.impacts import Flat, at
from physbench.laws.kepler import elliptic_state, hyperbolic_states
from physbench.support.arrays import Array
from physbench.world.bodies import HOLDER_GAP, ball, holder, turned_from_top
from physbench.world.scene import HISTORY, HORIZON, Body, Camera, CentralGravity, Scene, hue_name

SURFACE_GAP = 0.08  # m between the surfaces at the periapsis: a pixel of 64
PERIODS = 3  # at least, within the horizon


class Kepler(Task):
    """A planet goes around a fixed star.

    What happens: the planet is on its ellipse from the start of the history to the end of the horizon, at least three
    times around.

    Law: the acceleration is mu / r^2 towards the star, so that the path is an ellipse with the star in a focus, the
    areal velocity is constant and T^2 = 4 pi^2 a^3 / mu (Kepler 1609, Astronomia nova; Newton 1687, Principia, book I).
    The star is fixed and touches nothing.

    {parameters}

    orientation is the direction of the periapsis from the star, phase the mean anomaly at the hand-over, sense 1 is
    counter-clockwise, (middle_x, middle_y) the middle of the ellipse. Mass is density x volume and plays no part.

    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: in motion throughout; periapsis and apoapsis, the turning points, follow within one period, at most
    2.67 s; horizon 8 s. The whole ellipse is in view; star and planet are at least 0.08 m apart.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "orbits/kepler-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "eccentricity", "event": lambda p: next_turn(p)}
    parameters = declare(
        mu=Parameter.fixed(34.0, "m3/s2", "gravitational constant x mass of the star"),
        star_radius=Parameter.fixed(0.2, "m", "of the star"),
        radius=Parameter("m", "visible", (0.40, 0.48), "of the planet"),
        **hues("hue_planet", "hue_star"),
        eccentricity=Parameter("", "visible", (0.1, 0.5), "of the ellipse", ood=(0.5, 0.6)),
        semi_axis=Parameter("m", "visible", (1.1, 1.8), "semi-major axis of the ellipse"),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the periapsis"),
        phase=Parameter("rad", "visible", (-3.1416, 3.1416), "mean anomaly at the hand-over"),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        middle_x=Parameter("m", "visible", (-0.5, 0.5), "middle of the ellipse, to the right"),
        middle_y=Parameter("m", "visible", (-0.5, 0.5), "middle of the ellipse, upwards in the image"),
    )
    horizon = 8.0  # s

    def accepts(self, p: Params) -> bool:
        """Different hues, enough periods, no touch, the whole ellipse in view."""
        a, e = p["semi_axis"], p["eccentricity"]
        half_x, half_y = half_extents(a, a * math.sqrt(1 - e**2), unit(p["orientation"]))
        room = HALF_WINDOW - FREE_BORDER - p["radius"]
        return (
            p["hue_planet"] != p["hue_star"]
            and PERIODS * 2 * math.pi * math.sqrt(a**3 / p["mu"]) <= self.horizon
            and a * (1 - e) >= p["radius"] + p["star_radius"] + SURFACE_GAP
            and abs(p["middle_x"]) + half_x <= room
            and abs(p["middle_y"]) + half_y <= room
        )

    def star_position(self, p: Params) -> Flat:
        return at((p["middle_x"], p["middle_y"]), unit(p["orientation"]), p["semi_axis"] * p["eccentricity"])

    def scene(self, p: Params) -> Scene:
        (star_x, star_y) = self.star_position(p)
        (x, y), velocity = kepler_state(p, -HISTORY)
        return Scene(
            bodies=(
                ball("planet", p["radius"], (star_x + x, star_y + y, 0.0), p["hue_planet"], velocity=(*velocity, 0.0)),
                star(p["star_radius"], (star_x, star_y), p["hue_star"]),
            ),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(CentralGravity("star", p["mu"]),),
            horizon=self.horizon,
            prompt=f"A large {hue_name(p['hue_planet'])} planet orbits a small {hue_name(p['hue_star'])} star on an "
            "ellipse, round and round, under gravity. Static camera.",
            caption=f"A large {hue_name(p['hue_planet'])} planet moves around a small {hue_name(p['hue_star'])} star, "
            "attracted by its gravity.",
        )


def star(radius: float, position: Flat, hue: float) -> Body:
    """A star that is fixed and touches nothing."""
    return Body("star", "sphere", (radius,), "fixed", (*position, 0.0), hue=int(hue), collides=False)


def half_extents(a: float, b: float, axis: Flat) -> Flat:
    """Half width and half height m of an ellipse with semi-axes `a`, `b` m; `axis`: unit vector along the major one."""
    cos, sin = axis
    return math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)


def unit(angle: float) -> Flat:
    """Unit vector in the direction of `angle` rad."""
    return math.cos(angle), math.sin(angle)


def kepler_state(p: Params, time: float) -> tuple[Flat, Flat]:
    """Position m from the star and velocity m/s of the planet at `time`."""
    return elliptic_state(p["mu"], p["semi_axis"], p["eccentricity"], p["orientation"], p["phase"], p["sense"], time)


def next_turn(p: Params) -> float:
    """Time s of the first periapsis or apoapsis after the hand-over: the mean anomaly is then a multiple of pi."""
    return (math.pi - p["phase"] % math.pi) * math.sqrt(p["semi_axis"] ** 3 / p["mu"])


# Two bodies under gravity: both in motion around their barycentre, or one that passes by a star.

BINARY_GAP = 0.2  # m between the surfaces of a binary at the periapsis: never taken for a contact


@dataclass(frozen=True)
class FlyBy:
    """Fly-bys that a clip may show."""

    view_after_periapsis: float = 0.5  # s in full view after the periapsis
    view_after_handover: float = 1.3  # s in full view after the hand-over
    path_step: float = 0.1  # s between the times at which the path is checked


FLYBY = FlyBy()


class Binary(Task):
    """Two bodies of comparable mass go around each other.

    What happens: both bodies are on their ellipses around the barycentre, which rests, from the start of the history to
    the end of the horizon, at least three times around.

    Law: each is drawn to the other with mu / r^2, mu proportional to the volume of the other: the pull is mutual,
    momentum is conserved, m_a r_a = m_b r_b about the barycentre, the areal velocity is constant and
    T^2 = 4 pi^2 a^3 / (mu_a + mu_b) (Newton 1687, Principia, book I, propositions 57 to 60).

    {parameters}

    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: in motion throughout; periapsis and apoapsis, the turning points, follow within one period, at most
    2.67 s; horizon 8 s. Both ellipses are in view; the bodies are at least 0.2 m apart.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "orbits/binary-v1"
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": "eccentricity",
        "event": lambda p: next_turn({**p, "mu": sum(strengths(p))}),
    }
    parameters = declare(
        pull=Parameter.fixed(200.0, "s-2", "mu of a body over its radius^3"),
        radius_a=Parameter("m", "visible", (0.40, 0.50), "of body a"),
        radius_b=Parameter("m", "visible", (0.40, 0.50), "of body b"),
        **hues("hue_a", "hue_b"),
        eccentricity=Parameter("", "visible", (0.05, 0.25), "of both ellipses", ood=(0.3, 0.38)),
        semi_axis=Parameter("m", "visible", (1.1, 1.9), "semi-major axis of the relative ellipse"),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of a from b at the periapsis"),
        phase=Parameter("rad", "visible", (-3.1416, 3.1416), "mean anomaly at the hand-over"),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        middle_x=Parameter("m", "visible", (-0.8, 0.8), "of the barycentre, to the right"),
        middle_y=Parameter("m", "visible", (-0.8, 0.8), "of the barycentre, upwards in the image"),
    )
    horizon = 8.0  # s

    def accepts(self, p: Params) -> bool:
        """Different hues, enough periods, no touch, both ellipses in view."""
        a, e, axis = p["semi_axis"], p["eccentricity"], unit(p["orientation"])
        if (
            p["hue_a"] == p["hue_b"]
            or PERIODS * 2 * math.pi * math.sqrt(a**3 / sum(strengths(p))) > self.horizon
            or a * (1 - e) < p["radius_a"] + p["radius_b"] + BINARY_GAP
        ):
            return False
        half_x, half_y = half_extents(a, a * math.sqrt(1 - e**2), axis)
        for name, share in zip("ab", shares(p), strict=True):
            # `share` is signed: the middle of an ellipse lies beyond the barycentre, away from its periapsis.
            x, y = p["middle_x"] - share * a * e * axis[0], p["middle_y"] - share * a * e * axis[1]
            room = HALF_WINDOW - FREE_BORDER - p[f"radius_{name}"]
            if abs(x) + abs(share) * half_x > room or abs(y) + abs(share) * half_y > room:
                return False
        return True

    def scene(self, p: Params) -> Scene:
        (x, y), (vx, vy) = relative_state(p, -HISTORY)
        bodies = tuple(
            ball(
                name,
                p[f"radius_{name}"],
                (p["middle_x"] + share * x, p["middle_y"] + share * y, 0.0),
                p[f"hue_{name}"],
                velocity=(share * vx, share * vy, 0.0),
            )
            for name, share in zip("ab", shares(p), strict=True)
        )
        return Scene(
            bodies=bodies,
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=tuple(CentralGravity(name, mu) for name, mu in zip("ab", strengths(p), strict=True)),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue_a'])} and a {hue_name(p['hue_b'])} ball orbit each other, round and round, "
            "under their mutual gravity. Static camera.",
            caption=f"A {hue_name(p['hue_a'])} and a {hue_name(p['hue_b'])} planet move around each other "
            "under their mutual gravity.",
        )


def strengths(p: Params) -> tuple[float, float]:
    """Gravitational constant x mass of both bodies of a binary, m3/s2."""
    return p["pull"] * p["radius_a"] ** 3, p["pull"] * p["radius_b"] ** 3


def shares(p: Params) -> tuple[float, float]:
    """Positions of both bodies of a binary, from their barycentre, over their difference."""
    mu_a, mu_b = strengths(p)
    return mu_b / (mu_a + mu_b), -mu_a / (mu_a + mu_b)


def relative_state(p: Params, time: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Position m and velocity m/s of body a of a binary as seen from body b at `time`, in closed form."""
    return kepler_state({**p, "mu": sum(strengths(p))}, time)


class Flyby(Task):
    """An unbound body passes by a fixed star.

    What happens: a body is held by a grey block at rest. The block vanishes and the body moves off. The star bends its
    path while it passes by, and it goes away.

    Law: the acceleration is mu / r^2 towards the star and the energy is positive, so that the path is a hyperbola with
    the star in a focus and the areal velocity is constant (Newton 1687, Principia, book I, propositions 11 to 13). The
    star is fixed and touches nothing; its mu goes with its volume.

    {parameters}

    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: held until `release`, then in motion; the periapsis, the deciding event, lies at `passage`. The body is
    in full view up to 1.3 s at least, and up to 0.5 s after the periapsis; it may leave later and does not come back;
    star and body are at least 0.08 m apart; horizon 4 s.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "orbits/flyby-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "eccentricity", "event": "passage"}
    parameters = declare(
        pull=Parameter.fixed(200.0, "s-2", "mu of the star over its radius^3"),
        star_radius=Parameter("m", "visible", (0.22, 0.28), "of the star"),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the body"),
        **hues("hue_body", "hue_star"),
        release=RELEASE,
        eccentricity=Parameter("", "visible", (1.1, 1.6), "of the hyperbola", ood=(1.7, 2.2)),
        periapsis=Parameter("m", "visible", (0.75, 1.1), "least distance from star to body, middles"),
        passage=Parameter("s", "visible", (0.25, 1.6), "when that is"),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the periapsis"),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        star_x=Parameter("m", "visible", (-1.8, 1.8), "of the star, to the right"),
        star_y=Parameter("m", "visible", (-1.8, 1.8), "of the star, upwards in the image"),
    )

    def accepts(self, p: Params) -> bool:
        """Different hues, no touch; in view long enough, and gone for good when it leaves."""
        radius = p["radius"]
        if p["hue_body"] == p["hue_star"] or p["periapsis"] < radius + p["star_radius"] + SURFACE_GAP:
            return False
        room, needed = (
            HALF_WINDOW - FREE_BORDER - radius,
            max(FLYBY.view_after_handover, p["passage"] + FLYBY.view_after_periapsis),
        )
        x, y = (p["periapsis"] * part for part in unit(p["orientation"]))
        if abs(p["star_x"] + x) > room or abs(p["star_y"] + y) > room:
            return False
        star = np.array([p["star_x"], p["star_y"]])
        ends = star + flyby_state(p, np.array([p["release"], needed]))[0]
        if np.abs(ends).max() > room:
            return False
        later = np.arange(needed, HORIZON, FLYBY.path_step)
        times = np.concatenate([np.arange(p["release"], needed, FLYBY.path_step), later])
        over = np.abs(star + flyby_state(p, times)[0]).max(axis=-1) > room
        return not over[: -len(later)].any() and not (np.diff(over.astype(np.int8)) < 0).any()

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        (position,), (velocity,) = flyby_state(p, np.array([p["release"]]))
        x, y = p["star_x"] + float(position[0]), p["star_y"] + float(position[1])
        vx, vy = velocity.tolist()
        back_x, back_y = (-velocity / np.linalg.norm(velocity) * (radius + HOLDER_GAP)).tolist()
        turned = turned_from_top(math.atan2(vy, vx))
        return Scene(
            bodies=(
                ball("body", radius, (x, y, 0.0), p["hue_body"], velocity=(vx, vy, 0.0), release=p["release"]),
                star(p["star_radius"], (p["star_x"], p["star_y"]), p["hue_star"]),
                holder("holder", (0.05, 0.5 * radius, 0.2), (x + back_x, y + back_y, 0.0), p["release"], turned),
            ),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(CentralGravity("star", p["pull"] * p["star_radius"] ** 3),),
            prompt=f"A large {hue_name(p['hue_body'])} body flies past a small {hue_name(p['hue_star'])} star, whose "
            "gravity bends its way, and goes away. Static camera.",
            caption=f"A large {hue_name(p['hue_body'])} planet moves towards a small {hue_name(p['hue_star'])} star, "
            "attracted by its gravity.",
        )


def flyby_state(p: Params, times: Array) -> tuple[Array, Array]:
    """Positions m from the star and velocities m/s (T, 2) of a fly-by at `times` (T,) s."""
    mu = p["pull"] * p["star_radius"] ** 3
    return hyperbolic_states(mu, p["periapsis"], p["eccentricity"], p["orientation"], p["passage"], p["sense"], times)
