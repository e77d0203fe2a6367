"""HOTA and IDF1 on tracks made by hand, against their closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import saboteurs as sabotage
from handmade import tracks_at, true_places
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, ScoreRow
from physbench.scorers.diagnostics import identity
from physbench.track.visibility import truth_visible

pytest.importorskip("motrics")
Clips, Read = Callable[..., Clip], Callable[..., dict[str, ScoreRow]]
COLLISIONS, ORBITS = "collisions/head-on-v1", "orbits/kepler-v1"


def scores(clip: Clip, places: NDArray[np.float64], duplicates: int = 0) -> list[float]:
    """HOTA, detection, association, IDF1."""
    tracks = tracks_at(clip, places)
    tracks.duplicates[8 : 8 + duplicates, 0] = 1
    answer = identity.hota.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
    assert isinstance(answer, dict)
    return [float(answer[key].value) for key in ("", "detection", "association", "idf1")]  # type: ignore[arg-type]


def test_truth_is_one_and_nothing_is_nothing(clip_of: Clips, read: Read) -> None:
    clip = clip_of(COLLISIONS)
    assert read(clip, sabotage.truth(clip))["permanence/hota"].value == pytest.approx(1, abs=0.01)
    assert read(clip, sabotage.black(clip))["permanence/hota"].value == 0


def test_objects_that_swap_their_hues_halfway(clip_of: Clips) -> None:
    """All are found, each with two identities for half of the time: a third of what either is taken for is right."""
    clip = clip_of(ORBITS)
    clip_places = true_places(clip)
    assert not (np.linalg.norm(clip_places[:, 0] - clip_places[:, 1], axis=-1) < 0.5).any()  # else they overlap
    half = clip.horizon // 2
    places = clip_places.copy()
    places[half:] = places[half:, ::-1]
    hota, detection, association, idf1 = scores(clip, places)
    assert detection == pytest.approx(1) and association == pytest.approx(1 / 3, abs=0.01)
    assert hota == pytest.approx(math.sqrt(1 / 3), abs=0.01) and idf1 == pytest.approx(0.5, abs=0.01)


def test_an_object_that_is_absent_for_a_quarter_of_its_time(clip_of: Clips) -> None:
    """One of two: 7 of 8 are found; association is 3/4 for 3 of 7 of them, and 1 for the others."""
    clip = clip_of(ORBITS)
    assert truth_visible(clip, 8)[8:].all()
    places = true_places(clip)
    places[: clip.horizon // 4, 0] = np.nan
    found = scores(clip, places)
    association = (3 * 3 / 4 + 4) / 7
    expected = [math.sqrt(7 / 8 * association), 7 / 8, association, 2 * 7 / (8 + 7)]
    assert found == pytest.approx(expected, abs=0.01)


def test_duplicates_are_false_alarms(clip_of: Clips) -> None:
    clip = clip_of(ORBITS)
    half = clip.horizon // 2  # of the frames hold three instead of two
    found = scores(clip, true_places(clip), duplicates=half)
    assert found[1] == pytest.approx(2 * clip.horizon / (2 * clip.horizon + half))
    assert found[3] == pytest.approx(2 * 2 * clip.horizon / (2 * 2 * clip.horizon + half))


@pytest.mark.parametrize("off", [0.1, 0.3, 0.6])
def test_a_place_that_is_off_counts_up_to_its_overlap(clip_of: Clips, off: float) -> None:
    """Both objects off by a share of their diameters: found at every threshold up to the discs' overlap."""
    clip = clip_of(ORBITS)
    places = true_places(clip)
    places[..., 0] += off * clip.diameters()[clip.handover + 1 :]
    grid = (np.indices((2000, 2000)) + 0.5) / 1000 - 1  # two discs of radius 1/2 counted out
    one, two = (np.hypot(grid[0], grid[1] - shift) < 0.5 for shift in (0.0, off))
    overlap = (one & two).sum() / (one | two).sum()
    expected = np.mean(np.arange(1, 20) * 0.05 <= overlap)
    assert scores(clip, places)[0] == pytest.approx(expected, abs=0.01)


def test_without_the_package_it_says_so(clip_of: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of(ORBITS)
    identity.why_unavailable.cache_clear()
    monkeypatch.setattr(identity, "find_spec", lambda _: None)
    try:
        answer = identity.hota.read(
            Observation(clip, Rollout(clip.id, 0, clip.future()), tracks_at(clip, true_places(clip)))
        )
        assert isinstance(answer, dict)
        assert answer[""].status == "unavailable" and "physbench[tracking]" in answer[""].reason
    finally:
        identity.why_unavailable.cache_clear()
