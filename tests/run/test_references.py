"""References are cached by everything that decides them, and a cache only saves time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.models.load_model import load_model
from physbench.models.protocol import ModelCard
from physbench.run import references
from physbench.run.references import REFERENCE_BASELINES, bring_references, clip_hash, reference_rollout
from physbench.score.protocol import read_part
from physbench.score.score_clip import find_scorers
from physbench.support.cache import cache_areas
from physbench.support.files import cache_dir
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import load_tracks

ROW = Row("falling/projectile-v1", "test", 0)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return load_model("baseline:freeze", device=torch.device("cpu"), dtype=torch.float32).card


@pytest.fixture(scope="module")
def clip(card: ModelCard) -> Clip:
    return ClipStore().get(ROW, card.spec)


def test_what_the_references_are(clip: Clip, card: ModelCard) -> None:
    assert np.array_equal(reference_rollout("truth", clip, card).frames, clip.future())
    frozen = reference_rollout("freeze", clip, card).frames
    assert np.array_equal(frozen, np.broadcast_to(clip.context(1), frozen.shape))


def test_they_have_the_size_rate_and_context_of_the_model(card: ModelCard) -> None:
    other = replace(card, image_size=(64, 96), fps=10, context_frames=3)
    model = references._baseline("freeze", other)
    assert (model.card.image_size, model.card.fps, model.card.context_frames) == ((64, 96), 10, 3)


def test_a_second_run_computes_nothing(
    clip: Clip, card: ModelCard, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows and tracks come from the cache, and the clip is not unpacked.

    A damaged entry is made again; other scorers are another entry.
    """
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    store = tmp_path / "clips"
    ClipStore(store).put(clip)
    calls = []
    score = references.score_clip
    monkeypatch.setattr(references, "score_clip", lambda *a: calls.append(a) or score(*a))  # type: ignore[func-returns-value]
    scorers = find_scorers("drift/*")

    def bring(name: str, scorers: tuple[references.Scorer, ...] = scorers) -> RunFolder:
        run = RunFolder(tmp_path / name)
        assert bring_references(run, clip.row, ClipStore(store), card, scorers) == clip.state_hash
        return run

    first = bring("first")
    assert len(calls) == len(REFERENCE_BASELINES)
    with monkeypatch.context() as patched:
        patched.setattr(ClipStore, "get", None)
        second = bring("second")
    assert len(calls) == len(REFERENCE_BASELINES)
    for name in REFERENCE_BASELINES:
        one, two = first.reference(name), second.reference(name)
        assert read_part(one.part(clip.id)) == read_part(two.part(clip.id)) is not None
        assert one.tracks(clip.id).read_bytes() == two.tracks(clip.id).read_bytes()
        assert load_tracks(two.tracks(clip.id)).context == card.scored_context

    entry = next((tmp_path / "cache" / "references").rglob("*.truth.json"))
    entry.write_text(entry.read_text()[:-20])
    bring("third")
    assert len(calls) == len(REFERENCE_BASELINES) + 1
    entry = next((tmp_path / "cache" / "references").rglob("*.freeze.npz"))
    entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2])
    bring("fourth")
    assert len(calls) == len(REFERENCE_BASELINES) + 2
    bring("fifth", find_scorers("laws/gravity"))
    assert len(calls) == 2 * len(REFERENCE_BASELINES) + 2


def test_references_of_a_clip_that_was_not_stored_are_found_again(
    clip: Clip, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    calls, score = [], references.score_clip
    monkeypatch.setattr(references, "score_clip", lambda *a: calls.append(a) or score(*a))  # type: ignore[func-returns-value]
    for name in ("first", "second"):
        clips = ClipStore(tmp_path / "clips")
        bring_references(RunFolder(tmp_path / name), clip.row, clips, card, find_scorers("drift/*"))
        assert len(calls) == len(REFERENCE_BASELINES)


def test_what_went_wrong_here_and_now_is_not_kept(
    clip: Clip, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    scorers = find_scorers("drift/*")
    score = references.score_clip

    def short_of_memory(*given: object) -> object:
        rows, tracks = score(*given)  # type: ignore[arg-type]
        return [replace(row, status="failed", reason="MemoryError") for row in rows], tracks

    monkeypatch.setattr(references, "score_clip", short_of_memory)
    bring_references(RunFolder(tmp_path / "first"), clip.row, ClipStore(), card, scorers)
    assert not (tmp_path / "cache" / "references").exists()
    monkeypatch.setattr(references, "score_clip", score)
    bring_references(RunFolder(tmp_path / "second"), clip.row, ClipStore(), card, scorers)
    rows = read_part(RunFolder(tmp_path / "second").reference("freeze").part(clip.id))
    assert rows is not None and all(row.status != "failed" for row in rows)


def test_another_clip_has_references_of_its_own(
    clip: Clip, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of stored clips that differ in one level of one pixel, or where none can be stored, nothing is mixed up."""
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    frames = clip.frames.copy()
    frames[-1, 0, 0, 0] ^= 1
    store = ClipStore(tmp_path / "clips")
    known = set()
    for one in (clip, replace(clip, frames=frames)):
        store.put(one)
        found = store.stored(clip.row, card.spec)
        assert found is not None and found.state_hash == clip.state_hash
        known.add(found.content)
    assert len(known) == 2
    file = store.path(clip.row, card.spec)
    file.write_bytes(file.read_bytes()[:-100])
    assert store.stored(clip.row, card.spec) is None
    nowhere = ClipStore(tmp_path / "clips" / "a file")
    (tmp_path / "clips" / "a file").write_text("")
    run = RunFolder(tmp_path / "run")
    assert bring_references(run, clip.row, nowhere, card, find_scorers("drift/*")) == clip.state_hash
    assert read_part(run.reference("truth").part(clip.id))


def test_the_hash_covers_the_whole_clip(clip: Clip) -> None:
    assert clip_hash(clip) == clip_hash(replace(clip))
    frames = clip.frames.copy()
    frames[-1, 0, 0, 0] ^= 1
    assert clip_hash(replace(clip, frames=frames)) != clip_hash(clip)
    assert clip_hash(replace(clip, states=clip.states + 1e-9)) != clip_hash(clip)


def test_what_a_run_keeps_of_them_belongs_to_the_cache(toy_run: RunFolder) -> None:
    """So that `physbench cache` counts it, and `prune` removes it."""
    kept = [path for path in (cache_dir() / "references").rglob("*") if path.is_file()]
    (area,) = (area for area in cache_areas() if area.name == "references")
    assert area.files == len(kept) > 0
