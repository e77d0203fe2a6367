"""The laws that orbits show, on orbits integrated under another law of force."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import saboteurs as sabotage
from handmade import times_ahead, tracks_at, true_places
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, Reading, Scorer, ScoreRow
from physbench.scorers.diagnostics.orbits import force_law, period
from physbench.track.tracks import Tracks
from physbench.world.camera import plane_from_world

Clips, Read = Callable[..., Clip], Callable[..., dict[str, ScoreRow]]
KEPLER, BINARY = "orbits/kepler-v1", "orbits/binary-v1"


def read_tracks(scorer: Scorer, clip: Clip, tracks: Tracks) -> dict[str, Reading]:
    answer = scorer.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
    return answer if isinstance(answer, dict) else {"": answer}


def star_and_state(clip: Clip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place (2,) m of the star, and place and velocity (4,) of the planet at the hand-over."""
    planet, star = (clip.scene.index(name) for name in ("planet", "star"))
    now = clip.states[clip.handover]
    flat = [plane_from_world(clip.scene.camera, now[planet, part]) for part in (slice(3), slice(7, 10))]
    return plane_from_world(clip.scene.camera, now[star, :3]), np.concatenate(flat)


def moved(
    clip: Clip, exponent: float, *, turned: float = 0.0, speed: float = 1.0, until: float = np.inf
) -> NDArray[np.float64]:
    """Places (T, K, 2) m of a planet under a force of this exponent, as strong as the true one at the hand-over, at an
    angle `turned` (rad) to the centre, absent after `until` s."""
    star, state = star_and_state(clip)
    start = np.concatenate([state[:2] - star, speed * state[2:]])
    first = float(np.linalg.norm(start[:2]))
    k = clip.scene.fields[0].mu * first ** (-2 - exponent)
    turn = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])

    def rate(_: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        r = np.linalg.norm(y[:2])
        return np.concatenate([y[2:], -k * r ** (exponent - 1) * (turn @ y[:2])])

    times = times_ahead(clip)[times_ahead(clip) <= until]
    path = solve_ivp(rate, (0, times[-1]), start, t_eval=times, rtol=1e-9, atol=1e-9).y[:2].T
    places = true_places(clip)
    column = list(clip.tracked).index(clip.scene.index("planet"))
    places[:, column] = np.nan
    places[: len(times), column] = star + path
    return places


@pytest.mark.parametrize("exponent", [-2.5, -2.0, -1.8, -1.0, 0.0, 1.0])
def test_the_exponent_of_a_force_is_found(clip_of: Clips, exponent: float) -> None:
    clip = clip_of(KEPLER)
    found = read_tracks(
        force_law, clip, tracks_at(clip, moved(clip, exponent, speed=0.85 if exponent > -1 else 1.0), noise_px=0.03)
    )
    assert found[""].value == pytest.approx(exponent, abs=0.05)
    assert found["direction"].value < 1.0 and found["share"].value > 0.99


def test_an_exponent_outside_of_the_range_is_none(clip_of: Clips) -> None:
    """Under r^6 a planet keeps to a thin ring unless it is slow; where the search ends is no exponent."""
    clip = clip_of(KEPLER)
    found = read_tracks(force_law, clip, tracks_at(clip, moved(clip, 6.0, speed=0.6), noise_px=0.03))
    assert found[""].value is None and found[""].reason.startswith("the best exponent lies outside of -6 to 4")
    assert found["strength"].value is not None


@pytest.mark.parametrize("degrees", [-1.0, 1.0, 2.0, 5.0])
def test_a_force_that_misses_the_centre_is_found(clip_of: Clips, degrees: float) -> None:
    """For 1.6 s: such a force soon takes the planet into the star or out of sight."""
    clip = clip_of(KEPLER)
    path = moved(clip, -2.0, turned=np.radians(degrees), until=1.6)
    found = read_tracks(force_law, clip, tracks_at(clip, path, noise_px=0.03))
    assert found["direction"].value == pytest.approx(abs(degrees), abs=0.5)


@pytest.mark.parametrize(("task", "size"), [(KEPLER, 64), (KEPLER, 128), (BINARY, 64)])
def test_true_orbits_are_those_of_newton_and_kepler(clip_of: Clips, read: Read, task: str, size: int) -> None:
    clip = clip_of(task, size=size)
    rows = read(clip, sabotage.truth(clip))
    assert rows["laws/force-law"].value == pytest.approx(-2, abs=0.02)
    assert rows["laws/force-law.direction"].value < 0.5
    assert rows["laws/force-law.strength"].value == pytest.approx(1, abs=0.01)
    assert rows["laws/period"].value == pytest.approx(1, abs=0.01)
    assert rows["laws/areal-velocity"].value == pytest.approx(1, abs=0.01)
    assert rows["laws/orbit-energy"].value == pytest.approx(1, abs=0.02)


def test_the_energy_of_a_flyby_is_measured_against_its_motion(clip_of: Clips, read: Read) -> None:
    """Its true energy is near 0: nothing is divided by it."""
    clip = clip_of("orbits/flyby-v1")
    states = clip.states[clip.handover + 1 :]
    star = np.array(clip.scene.bodies[clip.scene.index("star")].position[:2])
    at_rest = -clip.scene.fields[0].mu / np.linalg.norm(clip.states[clip.handover, 0, :2] - star)
    true = (states[:, 0, 7:9] ** 2).sum(-1) / 2 - clip.scene.fields[0].mu / np.linalg.norm(
        states[:, 0, :2] - star, axis=-1
    )
    kinetic = float(np.mean((states[:, 0, 7:9] ** 2).sum(-1))) / 2
    assert 0 < true.mean() < kinetic / 2
    rows = read(clip, sabotage.truth(clip))
    assert rows["laws/orbit-energy"].value == pytest.approx(1, abs=0.03)
    assert rows["laws/orbit-energy.spread"].value < 0.2
    still = read(clip, sabotage.freeze(clip))["laws/orbit-energy"].value
    assert still == pytest.approx(1 + (at_rest - true.mean()) / kinetic, abs=0.05)


def test_a_weaker_star_changes_strength_and_period_by_as_much(clip_of: Clips, read: Read) -> None:
    clip = clip_of(KEPLER)
    rows = read(clip, sabotage.gravity_times(clip, 0.9))
    assert rows["laws/force-law"].value == pytest.approx(-2, abs=0.03)
    assert rows["laws/force-law.strength"].value == pytest.approx(0.9, abs=0.01)
    assert rows["laws/period"].value == pytest.approx(1 / 0.9, abs=0.02)


def test_the_period_of_a_spring_is_not_that_of_kepler(clip_of: Clips) -> None:
    """|a| = k r: once around takes 2 pi / sqrt(k), whatever the size."""
    clip = clip_of(KEPLER)
    found = read_tracks(period, clip, tracks_at(clip, moved(clip, 1.0, speed=0.85), noise_px=0.03))
    star, state = star_and_state(clip)
    k = clip.scene.fields[0].mu / np.linalg.norm(state[:2] - star) ** 3
    assert found["time"].value == pytest.approx(2 * np.pi / np.sqrt(k), rel=0.01)
    mu, axis = clip.scene.fields[0].mu, found["semi-axis"].value
    assert found[""].value == pytest.approx(mu / (k * axis**3), rel=0.02)


def test_what_shows_no_orbit_has_none_of_these(clip_of: Clips, read: Read) -> None:
    clip = clip_of(KEPLER)
    for make in (sabotage.freeze, sabotage.black):
        rows = read(clip, make(clip))
        for reading in ("laws/force-law", "laws/period"):
            assert rows[reading].status == "not applicable" and rows[reading].reason
    falling = clip_of("falling/projectile-v1")
    assert read(falling, sabotage.truth(falling))["laws/force-law"].status == "not applicable"
