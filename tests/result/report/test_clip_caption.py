"""Captions: what goes wrong in a clip, the worst reading first."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.result.report.data import caption
from physbench.shadowing.shadow import Trace
from physbench.track.tracks import Visibility

WITHIN = "Every object stays within its diameter of ground truth."


@pytest.fixture(scope="module")
def clip(kit) -> Clip:
    return ClipStore().get(Row("orbits/kepler-v1", "test", 0), kit.SPEC)


def rows(**qualities: float | None) -> dict[str, dict[str, dict[str, object]]]:
    """One clip's readings: of the model as given, of ground truth 1."""
    names = {"shadowing": "consistency", "outcome": "consistency", "intact": "permanence"}
    model, truth = {}, {}
    for name, quality in qualities.items():
        axis = names.get(name, "drift")
        model[f"{axis}/{name}"] = {"axis": axis, "quality": quality, "value": quality}
        truth[f"{axis}/{name}"] = {"axis": axis, "quality": 1.0, "value": 1.0}
    return {"model": model, "truth": truth}


def broken(clip: Clip) -> Trace:
    """A body that leaves a lawful path at two tolerances."""
    n, bodies = clip.horizon + 1, 1
    return Trace(
        rungs=np.array([0.03, 0.2], dtype=np.float32),
        columns=np.array([0], dtype=np.int16),
        times=np.arange(n, dtype=np.float32) / 15,
        due=np.ones((n, bodies), dtype=bool),
        weight=np.ones((2, n, bodies), dtype=np.float16),
        rung=np.array([0, 1, 1], dtype=np.int16),
        body=np.zeros(3, dtype=np.int16),
        frame=np.array([3, 20, 9], dtype=np.int16),
        time=np.array([0.2, 1.3, 0.6], dtype=np.float32),
        gross=np.zeros(3, dtype=bool),
        jump=np.ones(3, dtype=np.float32),
        kick=np.ones(3, dtype=np.float32),
        lawful=np.full((3, 13, 2), np.nan, dtype=np.float32),
    )


def test_what_happens_to_each_object(clip: Clip, kit) -> None:
    error = np.full((clip.horizon, 2), 0.2)
    tracks = kit.true_tracks(clip)
    fine = rows(shadowing=0.97, intact=1.0)
    assert caption(clip, fine, error, tracks) == (WITHIN,)
    error[29:60, 0] = 1.5
    error[90:, 0] = np.inf
    error[60:, 1] = np.nan
    tracks.state[tracks.context + 105 :, 0] = Visibility.ABSENT
    (sentence,) = caption(clip, fine, error, tracks)
    hue = sentence.split("(")[1].split(")")[0]
    assert sentence == (
        f"Planet ({hue}) is off by more than its diameter at 2.0 s, is missing from 7.1 s (in 12 % of the time it "
        "should be seen) and is too deformed to be located from 6.1 s (in 12 % of the time it should be seen)."
    )
    assert f"A large {hue} planet" in clip.scene.prompt
    assert caption(clip, fine, None, tracks) == caption(clip, fine, error, None) == ()


def test_a_caption_does_not_contradict_a_score(clip: Clip, kit) -> None:
    """A tower that falls to the other side may keep every object within its diameter, as may a law that is broken."""
    near, tracks = np.full((clip.horizon, 2), 0.2), kit.true_tracks(clip)
    tower = rows(outcome=0.0, intact=1.0)
    for source, value in (("model", 0.0), ("truth", 1.0)):
        tower[source]["consistency/outcome.falls-left"] = {"axis": None, "quality": None, "value": value}
    assert caption(clip, tower, near, tracks) == (
        "Worst here: physical consistency, 0.00 (truth 1.00): it does not end as the truth does (falls left 0.00, "
        "truth 1.00).",
    )
    (said,) = caption(clip, rows(shadowing=0.3, intact=0.8), near, tracks, broken(clip))
    assert said.startswith("Worst here: physical consistency, 0.30 (truth 1.00): planet (")
    assert said.endswith(") leaves every lawful path by 0.2 diameters from 0.6 s on."), "first at the largest tolerance"
    (said,) = caption(clip, rows(shadowing=0.9, intact=0.2), near, tracks, broken(clip))
    assert said == "Worst here: object permanence, 0.20 (truth 1.00)."
    (said,) = caption(clip, rows(accuracy=0.01, stability=0.11), near, tracks)
    assert said == "Worst here: long-horizon drift (accuracy), 0.01 (truth 1.00).", "the axis is the mean of both"
    (said,) = caption(clip, rows(accuracy=None), near, tracks)
    assert said == "Worst here: long-horizon drift, 0.00 (truth 1.00)."


@pytest.mark.parametrize("quality", [0.0, 0.3, 0.6, 0.85])
@pytest.mark.parametrize("name", ["shadowing", "outcome", "intact", "accuracy"])
def test_nothing_is_called_fine_that_a_reading_marks_down(clip: Clip, kit, name: str, quality: float) -> None:
    near = np.full((clip.horizon, 2), 0.2)
    assert WITHIN not in caption(clip, rows(**{name: quality}), near, kit.true_tracks(clip))


def test_where_objects_are_mostly_missing_that_comes_first_and_no_motion_is_described(clip: Clip, kit) -> None:
    tracks = kit.true_tracks(clip)
    error = np.full((clip.horizon, len(clip.tracked_bodies)), np.inf)
    tracks.state[tracks.context :] = Visibility.ABSENT
    said = caption(clip, rows(shadowing=0.0, intact=0.1), error, tracks, broken(clip))
    assert "is missing from" in said[0]
    assert said[-1].startswith("Worst here: ") and "leaves every lawful path" not in " ".join(said)
