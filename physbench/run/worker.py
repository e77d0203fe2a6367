"""What a worker process does: make a clip, score a rollout, all samples of a clip, a pair, or bring its references.

The main process imports this file too, for the names of the functions: what is heavy is imported inside them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from physbench.adapters.model_protocol import ModelCard
from physbench.clips.clip import Clip, Row
from physbench.clips.scene_changes import CHANGES
from physbench.clips.store import clip_store
from physbench.results.run_clips import ClipSource, clips_of_folder
from physbench.rollouts.rollout import Rollout
from physbench.rollouts.rollout_store import load_rollout, store_rollout
from physbench.rollouts.shared_rollout import SharedRollout
from physbench.run.score_shards import write_part
from physbench.scoring.scorer_protocol import Scorer
from physbench.storage.run_folder import RunFolder
from physbench.tracks.tracks import Tracks
from physbench.tracks.tracks_file import load_tracks, save_tracks
from physbench.world.scene import RenderSpec


@dataclass(frozen=True)
class Made:
    """A clip is in the store."""

    row: Row
    seconds: float
    first: bool = False  # of its kind in its process, which imports and compiles


@dataclass(frozen=True)
class Scored:
    """A rollout is tracked and scored."""

    row: Row
    sample: int
    found: bool  # False: the rollout cannot be read and has to be made again
    seconds: float
    first: bool = False
    tracking: float = 0.0  # s of these
    shadowing: float = 0.0  # s of these


@dataclass(frozen=True)
class Referenced:
    """The references of a clip are in the run folder."""

    row: Row
    state_hash: str  # of the clip on this machine
    seconds: float
    first: bool = False


def seconds_of(results: Iterable[Made | Scored | Referenced]) -> dict[str, float]:
    """What jobs spent on what, in s."""
    spent = {"clips": 0.0, "references": 0.0, "tracking": 0.0, "shadowing": 0.0, "scoring": 0.0}
    for done in results:
        if isinstance(done, Scored):
            spent["tracking"] += done.tracking
            spent["shadowing"] += done.shadowing
            spent["scoring"] += done.seconds - done.tracking - done.shadowing
        else:
            spent["references" if isinstance(done, Referenced) else "clips"] += done.seconds
    return spent


_kinds_begun: set[str] = set()


def _first(kind: str) -> bool:
    """Whether this process has not done a job of this kind before."""
    first = kind not in _kinds_begun
    _kinds_begun.add(kind)
    return first


@lru_cache(1)  # on a cluster each job has another folder
def _clips(folder: Path) -> ClipSource:
    """The clips of a run."""
    return clips_of_folder(RunFolder(folder))


@cache
def _scorers(glob: str | None) -> tuple[Scorer, ...]:
    from physbench.scoring.score_clip import find_scorers

    return find_scorers(glob)


def compile_functions() -> None:
    """Compile what the motion analysis needs, where this machine has not done so, while others make clips."""
    from physbench.dynamics.kernels import compile_kernels

    compile_kernels()


def shown(row: Row, spec: RenderSpec) -> Clip:
    """Make a clip that is not stored."""
    from physbench.clips.generate import make_clip

    return make_clip(row, spec)


def make(store: Path, row: Row, spec: RenderSpec) -> Made:
    """Make a clip and store it. Where the store cannot be written, the jobs that need the clip make it again."""
    from physbench.clips.generate import make_clip

    started = time.monotonic()
    clip_store(store).put(make_clip(row, spec))
    return Made(row, time.monotonic() - started, _first("clip"))


def score(
    folder: Path, row: Row, sample: int, card: ModelCard, scorers: str | None, shared: SharedRollout | None = None
) -> Scored:
    """Track and score one rollout, which is stored, or is stored here from the memory that holds its frames.

    The part is written last: once it is there, the rollout is done.
    """
    from physbench.scoring.score_clip import score_clip
    from physbench.shadowing.trace import save_trace, trace

    started = time.monotonic()
    run = RunFolder(folder)
    if shared is None:
        rollout = load_rollout(run, row.id, sample)
    elif (rollout := _mapped(shared)) is not None:
        store_rollout(run, rollout, card.fps)
    if rollout is None:
        return Scored(row, sample, False, time.monotonic() - started)
    clip = _clips(folder).get(row, card.spec)
    rows, observation = score_clip(clip, rollout, card.scored_context, _scorers(scorers))
    if observation is not None:
        save_tracks(run.tracks(row.id, sample), observation.tracks)
        lawful = trace(clip, observation.tracks, observation.known("shadowing"))
        if lawful is not None:
            save_trace(run.trace(row.id, sample), lawful)
    write_part(run.part(row.id, sample), rows)
    took = observation.seconds if observation is not None else {}
    shadowing = took.get("shadowing", 0.0) + took.get("free_constants", 0.0)
    seconds = time.monotonic() - started
    return Scored(row, sample, True, seconds, _first("score"), took.get("tracks", 0.0), shadowing)


def _mapped(shared: SharedRollout) -> Rollout | None:
    """A rollout whose frames another process has; None where this one may not see them."""
    try:
        return shared.load()
    except OSError:
        return None


def together(folder: Path, row: Row, samples: int, card: ModelCard, scorers: str | None) -> Made:
    """Read all samples of a clip together; their tracks are in the run folder, where they did not fail."""
    from physbench.scoring.score_clip import score_together

    started = time.monotonic()
    run = RunFolder(folder)
    tracks = [_tracks(run, row, sample) for sample in range(samples)]
    rows = score_together(_clips(folder).get(row, card.spec), card.scored_context, tracks, _scorers(scorers))
    write_part(run.together(row.id), rows)
    return Made(row, time.monotonic() - started)


def pair(folder: Path, row: Row, samples: int, card: ModelCard, scorers: str | None) -> Made:
    """Read a clip with a change beside the one without it: every sample of the model, and the references."""
    from physbench.run.references import REFERENCE_BASELINES
    from physbench.scoring.score_clip import score_pair

    started = time.monotonic()
    run = RunFolder(folder)
    told = card.uses_actions or card.track == "privileged" or not CHANGES[row.change].by_actions
    model = [(run, sample, "" if told else "the model takes no actions") for sample in range(samples)]
    clip, origin = (_clips(folder).get(each, card.spec) for each in (row, row.unchanged))
    for place, sample, not_read in (*model, *((run.reference(name), 0, "") for name in REFERENCE_BASELINES)):
        tracks, before = (_tracks(place, each, sample) for each in (row, row.unchanged))
        rows = score_pair(clip, tracks, origin, before, sample, _scorers(scorers), not_read)
        write_part(place.pair(row.id, sample), rows)
    return Made(row, time.monotonic() - started)


def _tracks(run: RunFolder, row: Row, sample: int) -> Tracks | None:
    """What was seen of one sample of a clip; None where it failed: lost files were made again, see `drop_damaged`."""
    path = run.tracks(row.id, sample)
    return load_tracks(path) if path.is_file() else None


def references(folder: Path, row: Row, card: ModelCard, scorers: str | None, keep: bool = True) -> Referenced:
    """Bring ground truth and baselines on one clip into the run folder. keep: also in the cache."""
    from physbench.run.references import bring_references

    started = time.monotonic()
    state_hash = bring_references(RunFolder(folder), row, _clips(folder), card, _scorers(scorers), keep=keep)
    return Referenced(row, state_hash, time.monotonic() - started, _first("references"))
