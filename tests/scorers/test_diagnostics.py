"""Measured laws, appearance and perceptual distance."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import saboteurs as sabotage
from typer.testing import CliRunner

from physbench.clips.clip import Clip
from physbench.errors import UsageError
from physbench.rollouts.rollout import Rollout
from physbench.scorers import perceptual
from physbench.scoring.observation import Observation
from physbench.scoring.score_clip import find_scorers
from physbench.scoring.scorer_protocol import Reading, ScoreRow
from physbench.tracks.tracker import track

Clips, Read = Callable[..., Clip], Callable[..., dict[str, ScoreRow]]
FALLING, COLLISIONS, ORBITS = "falling/projectile-v1", "collisions/head-on-v1", "orbits/kepler-v1"


@pytest.mark.parametrize("factor", [1.0, 0.8, 0.5])
def test_gravity_is_measured(clip_of: Clips, read: Read, factor: float) -> None:
    clip = clip_of(FALLING)
    rows = read(clip, sabotage.gravity_times(clip, factor))
    assert rows["laws/gravity"].value == pytest.approx(9.81 * factor, abs=0.05)
    assert rows["laws/gravity.sideways"].value < 0.05


def test_what_hangs_still_shows_no_gravity(clip_of: Clips, read: Read) -> None:
    rows = read(clip_of(FALLING), sabotage.freeze(clip_of(FALLING)))
    assert rows["laws/gravity"].value == pytest.approx(0, abs=0.01)


def test_momentum_across_the_collision(clip_of: Clips, read: Read) -> None:
    clip = clip_of(COLLISIONS)
    rows = read(clip, sabotage.truth(clip))
    assert rows["laws/momentum.change"].value < 0.03
    a, b = (clip.scene.bodies[i] for i in clip.tracked)
    speeds = clip.states[clip.handover, list(clip.tracked), 7:9]
    total, size = (
        a.mass * speeds[0] + b.mass * speeds[1],
        sum(np.linalg.norm(m.mass * v) for m, v in zip((a, b), speeds, strict=True)),
    )
    moment = next(c.time for c in clip.contacts if c.time > 0)
    gain = np.array([0.3, 0.2])
    pushed = read(clip, sabotage.kicked(clip, a.name, (*gain, 0.0), at=moment + 0.05))
    assert pushed["laws/momentum.change"].value == pytest.approx(a.mass * np.linalg.norm(gain) / size, rel=0.25)
    if rows["laws/momentum"].value is not None:
        assert rows["laws/momentum"].value == pytest.approx(1, abs=0.03)
        expected = 1 + a.mass * gain @ total / (total @ total)
        assert pushed["laws/momentum"].value == pytest.approx(expected, abs=0.3 * abs(expected - 1) + 0.03)


@pytest.mark.parametrize("gain", [0.0, 0.1, -0.1])
def test_areal_velocity_and_energy(clip_of: Clips, read: Read, gain: float) -> None:
    """A kick along the motion by a share `gain` of the speed, at the hand-over."""
    clip = clip_of(ORBITS)
    planet = next(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
    star = next(i for i in clip.tracked if clip.scene.bodies[i].role == "fixed")
    state = clip.states[clip.handover]
    velocity = state[planet, 7:10]
    rows = read(clip, sabotage.kicked(clip, clip.scene.bodies[planet].name, tuple(gain * velocity)))
    mu = clip.scene.fields[0].mu
    depth = mu / np.linalg.norm(state[planet, :3] - state[star, :3])
    kinetic = velocity @ velocity / 2
    energy = (kinetic * (1 + gain) ** 2 - depth) / (kinetic - depth)
    assert rows["laws/areal-velocity"].value == pytest.approx(1 + gain, abs=0.02)
    assert rows["laws/orbit-energy"].value == pytest.approx(energy, abs=0.04)
    assert rows["laws/orbit-energy.spread"].value < 0.15


def test_hue_and_area_of_truth_are_constant_and_of_nothing_are_worst(clip_of: Clips, read: Read) -> None:
    clip = clip_of(COLLISIONS)
    truth, nothing = read(clip, sabotage.truth(clip)), read(clip, sabotage.black(clip))
    assert truth["appearance/hue"].value < 0.5 and truth["appearance/area"].value < 0.02
    assert nothing["appearance/hue"].value == 180 and nothing["appearance/area"].value == 1


def test_lpips_says_why_it_is_missing_and_never_runs_on_a_random_trunk(
    clip_of: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(FALLING)
    tracks = track(clip, 1, clip.frames[clip.window(1)])

    def answer() -> Reading:
        perceptual.why_unavailable.cache_clear()
        found = perceptual.lpips.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
        assert isinstance(found, Reading) and (found.status, found.value) == ("unavailable", None)
        return found

    monkeypatch.setattr(perceptual, "trunk_file", lambda: tmp_path / perceptual.TRUNK)
    monkeypatch.setattr(perceptual, "_network", lambda: pytest.fail("constructed without weights"))
    try:
        monkeypatch.setattr(perceptual, "find_spec", lambda _: None)
        assert "not installed" in answer().reason
        monkeypatch.setattr(perceptual, "find_spec", lambda _: object())
        assert answer().reason.startswith("weights: ")
        (tmp_path / perceptual.TRUNK).write_bytes(b"not what the name says")
        assert "damaged" in answer().reason
    finally:
        perceptual.why_unavailable.cache_clear()


def test_the_commands_list_and_show_scorers() -> None:
    from physbench.cli.scorers import app

    listed = CliRunner().invoke(app, ["list"])
    assert listed.exit_code == 0
    assert listed.output.index("consistency/shadowing") < listed.output.index("laws/gravity")
    shown = CliRunner().invoke(app, ["show", "shadowing"])
    assert "lawful segments" in shown.output and "noise floor" in shown.output
    assert "breaks at" not in shown.output and "precheck" not in shown.output
    declared = " ".join(CliRunner().invoke(app, ["show", "gravity"]).output.split())
    for row in (
        "phrase gravity {}",
        "phrase of sideways sideways pull {}",
        "breaks at a difference of 0.3 m/s2 from ground truth",
        "needs constants its own: left out where the context does not show every constant",
        "needs motions, free_segments",
        "precheck Not applicable without gravity in the plane of motion.",
    ):
        assert row in declared


@pytest.mark.parametrize(
    ("asked", "offered"),
    [("foo*", "laws/*"), ("laws", "Did you mean 'laws/*'?"), ("gravty", "laws/gravity"), ("forcelaw*", "force-law")],
)
def test_a_glob_that_fits_nothing_is_refused_with_what_there_is(asked: str, offered: str) -> None:
    with pytest.raises(UsageError, match=f"no scorer named '{re.escape(asked)}'") as refused:
        find_scorers(asked)
    assert offered in str(refused.value) and len(str(refused.value)) < 200


def test_every_scorer_says_what_truth_reads() -> None:
    for scorer in find_scorers():
        assert re.search(r"\d", scorer.noise_floor), scorer.id
        assert scorer.quality is None or scorer.axis is not None
        assert scorer.axis is not None or "Outside every mean." in " ".join(scorer.doc.split()), scorer.id
