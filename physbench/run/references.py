"""Ground truth and baselines through the same code as a model, clip by clip, cached by everything that decides them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from physbench.baselines.baseline_adapter import OF_STATES
from physbench.clips.clip import Clip, Row
from physbench.clips.store import StoredClip
from physbench.clips.task import own_tasks
from physbench.laws.scene_law import find_laws
from physbench.models.load_model import load_model
from physbench.models.protocol import Model, ModelCard
from physbench.rollout.answers import answers_of
from physbench.rollout.batches import item_seed
from physbench.rollout.predict import predict
from physbench.rollout.store import Rollout
from physbench.run.versions import versions
from physbench.score.protocol import NOT_ROWS, Observation, Scorer, checked_part, read_part, write_part
from physbench.score.score_clip import score_clip, scorer_of
from physbench.shadowing.shadow import Trace, save_trace, trace
from physbench.support import plugins
from physbench.support.files import NOT_ARRAYS, cache_dir, cached, read_sealed, write_bytes
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import save_tracks

if TYPE_CHECKING:
    from physbench.result.read import ClipSource

REFERENCE_BASELINES = {
    "truth": "oracle",
    "freeze": "freeze",
    "constant-velocity": "constant-velocity",
}  # name: baseline


def clip_hash(clip: Clip) -> str:
    """Hash of all that a clip holds."""
    stated = (clip.stated_velocities,) if clip.stated_velocities else ()
    digest = hashlib.blake2b(repr((clip.row, clip.scene, clip.spec, clip.contacts, *stated)).encode(), digest_size=16)
    for array in (clip.times, clip.frames, clip.states, clip.visible_area, clip.full_area):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@cache
def _code_key(scorers: tuple[Scorer, ...], own_files: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps([versions(scorers), own_files]).encode()).hexdigest()[:16]


def _own_files(task: str) -> tuple[str, ...]:
    """Hashes of the user's files, for a task that is in one of them, and for all where one brings a law of scenes."""
    decides = task in own_tasks() or any(plugins.owns(law.__module__) for law in find_laws())
    return tuple(sorted(file.sha256 for file in plugins.registered_files())) if decides else ()


@cache
def _baseline(baseline: str, card: ModelCard) -> Model:
    """The baseline under the size, rate and context that the model's scores are read with; of states for states."""
    height, width = card.image_size
    arguments = {"fps": repr(card.fps), "context": str(card.scored_context)}
    if card.sees_pictures:
        arguments["size"] = f"{width}x{height}"
    target = f"baseline:{_kind(card)}{baseline}"
    device, dtype = torch.device("cpu"), torch.float32
    return load_model(target, device=device, dtype=dtype, model_args=arguments)


def _kind(card: ModelCard) -> str:
    """Before the names of references of a model's kind."""
    return "" if card.sees_pictures else OF_STATES


def reference_rollout(name: str, clip: Clip, card: ModelCard) -> Rollout:
    """Roll a reference out on one clip."""
    return baseline_rollout(REFERENCE_BASELINES[name], clip, card)


def baseline_rollout(baseline: str, clip: Clip, card: ModelCard) -> Rollout:
    """Roll a baseline out on one clip, such as "physicist", under what a model's scores are read with."""
    model = _baseline(baseline, card)
    kind = answers_of(model.card)
    privileged = model.card.track == "privileged"
    inputs = kind.inputs((clip,), seeds=(item_seed(clip.row, 0, 0),), privileged=privileged)
    shape, number = kind.step
    place = torch.from_numpy(np.empty((1, clip.horizon, *shape), dtype=number))
    dtype = place.dtype if place.is_floating_point() else torch.float32
    answer = predict(model, inputs, place, torch.device("cpu"), dtype)
    predicted = kind.predicted(place[0].numpy(), len(clip.tracked))
    return Rollout(
        clip.id, 0, failure=answer.failures.get(0), chained=answer.chained, seconds=answer.seconds, **predicted
    )


def bring_references(
    run: RunFolder,
    row: Row,
    clips: ClipSource,
    card: ModelCard,
    scorers: Sequence[Scorer],
    *,
    cached: bool = True,
    keep: bool = True,
) -> str:
    """Put rows and tracks of ground truth and baselines on one clip into the run folder, from the cache where there.

    Where all are, the clip is not unpacked. With cached=False they are made again, and what the cache holds is
    replaced. With keep=False the cache gets nothing. Returns the clip's state hash.
    """
    spec = card.spec
    load = cache(lambda: clips.get(row, spec))
    stored = clips.stored(row, spec)
    if stored is None:  # it is made now, and stored, where that is possible
        clip = load()
        stored = clips.stored(row, spec) or StoredClip(clip_hash(clip), clip.state_hash)
    code = _code_key(tuple(scorers), _own_files(row.task))
    for name in REFERENCE_BASELINES:
        folder = run.reference(name)
        place = cache_dir() / "references" / code / f"{stored.content}.{card.scored_context}.{_kind(card)}{name}"
        if read_part(folder.part(row.id)) is None and not (cached and _copy(place, folder, row.id)):
            _make_reference(folder, name, load(), card, scorers, place if keep else None)
    return stored.state_hash


def _make_reference(
    folder: RunFolder, name: str, clip: Clip, card: ModelCard, scorers: Sequence[Scorer], place: Path | None
) -> None:
    """Roll out and score one reference on a clip. place: in the cache; None: it is not kept there."""
    rows, observation = score_clip(clip, reference_rollout(name, clip, card), card.scored_context, scorers)
    lawful = None if observation is None else save_motion(folder, observation)
    write_part(folder.part(clip.id), rows)
    if place is None or observation is None or any(row.status == "failed" for row in rows):
        return  # baselines do not fail: where one does, something was short here and now
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time and nothing else
        save_tracks(place.with_name(f"{place.name}.npz"), observation.tracks)
        if lawful is not None:
            save_trace(_trace_at(place), lawful)
        write_part(place.with_name(f"{place.name}.json"), rows)


def save_motion(run: RunFolder, observation: Observation, sample: int = 0) -> Trace | None:
    """Write the tracks of a rollout, and the trace of its motion, which is returned; None where none was shadowed."""
    clip = observation.clip
    save_tracks(run.tracks(clip.id, sample), observation.tracks)
    lawful = trace(clip, observation.tracks, observation.known("shadowing"))
    if lawful is not None:
        save_trace(run.trace(clip.id, sample), lawful)
    return lawful


def _copy(place: Path, folder: RunFolder, clip_id: str) -> bool:
    """Copy a cached reference, byte for byte; False where there is none that is whole."""
    part, tracks = place.with_name(f"{place.name}.json"), place.with_name(f"{place.name}.npz")
    rows = cached(checked_part, part, NOT_ROWS)
    files = {folder.tracks(clip_id): tracks, folder.trace(clip_id): _trace_at(place), folder.part(clip_id): part}
    contents = {to: None if rows is None else cached(read_sealed, path, NOT_ARRAYS) for to, path in files.items()}
    if rows is None or contents[folder.tracks(clip_id)] is None or contents[folder.part(clip_id)] is None:
        return False
    traced = scorer_of("lawfulness").id  # its readings come with a trace
    of_trace = (row for row in rows if row.reading.partition(".")[0] == traced and row.status == "ok")
    if contents[folder.trace(clip_id)] is None and any(of_trace):
        return False
    for path, content in contents.items():  # the part last: it says that the reference is there
        if content is not None:
            write_bytes(path, content)
    return True


def _trace_at(place: Path) -> Path:
    return place.with_name(f"{place.name}.trace.npz")
