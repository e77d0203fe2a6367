"""`physbench.score`: one clip and one answer to it, read in this process, as a reward, a selector or a metric has it.

The readings are those of a run for the same clip and frames. Nothing is written and no process is started, so that it
works in a worker of a data loader, in a thread and in a notebook.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import render_spec
from physbench.clips.store import clip_key, clip_store
from physbench.clips.suite import SUITE_VERSION
from physbench.clips.task import SPLITS, find_task
from physbench.result.sentences import physical_for
from physbench.result.skill import COUNTED, Qualities, Stratum, cells_of, kinds, skills, task_means
from physbench.result.task_roles import kinds_of
from physbench.rollout.device import store_chunk
from physbench.rollout.store import Rollout
from physbench.score.protocol import AXES, Axis, Scorer, ScoreRow
from physbench.score.score_clip import find_scorers, reading_of, score_clip, scorer_of
from physbench.support import plugins
from physbench.support.arrays import Image
from physbench.support.cache import RecentlyUsed
from physbench.support.errors import PhysbenchError, UsageError, nearest
from physbench.world.scene import FAR, PLAIN, RenderSpec, wrong_rate

# One answer to one clip, as an array, a tensor or a video file, as the frames that are scored.

# (T, H, W, 3) or (T, 3, H, W), uint8 or floats in [0, 1]; or the path of a video.
Frames: TypeAlias = NDArray[Any] | torch.Tensor | str | os.PathLike[str]

SAME_RATE = 0.01  # relative: 23.976 frames/s are 24


def is_file(frames: object) -> bool:
    """True for a path, not for an array."""
    return isinstance(frames, str | os.PathLike)


def read_file(path: str | os.PathLike[str]) -> tuple[Image, float | None]:
    """Frames (T, H, W, 3) of a video as a player shows them, and its rate in frames/s, None where it tells none.

    Raises UsageError where it is missing, damaged or no video.
    """
    from physbench.clips.video import DEMUXERS, container_suffix
    from physbench.models.videos.decode import decode_frames, probe_video
    from physbench.models.videos.files import VideoEntry, VideoSource

    place = Path(os.fspath(path))
    if not place.is_file():
        what = f"{place} is a folder, not a video" if place.is_dir() else f"there is no file {place}"
        raise UsageError(f"frames: {what}.")
    if not container_suffix(place.name):
        raise UsageError(f"frames: expected a video ({', '.join(DEMUXERS)}), got {place}.")
    try:
        source = VideoSource.of_file(place)
        entry = VideoEntry(place.name, source.files)
        info = probe_video(source, entry)
        return np.stack([frame for _, frame in decode_frames(source, entry, info)]), info.rate
    except PhysbenchError as error:
        raise UsageError(f"frames: {error}") from None


def clip_rate(fps: float) -> float:
    """The rate of the clip that an answer belongs to: time stamps of files are rounded, and 23.976 is 24."""
    whole = round(fps) if np.isfinite(fps) else 0
    is_near = whole > 0 and abs(fps / whole - 1) <= SAME_RATE
    return float(whole) if wrong_rate(fps, least=1) and is_near and not wrong_rate(whole, least=1) else fps


def size_of(frames: Frames) -> tuple[int, int]:
    """(height, width) px of an answer that is no file. Raises UsageError for other shapes than those of frames."""
    shape = _shape(frames)
    if len(shape) == 4 and 3 in (shape[1], shape[3]):
        return (shape[2], shape[3]) if shape[1] == 3 else (shape[1], shape[2])
    raise UsageError(f"frames: expected (T, H, W, 3) or (T, 3, H, W), got {shape}{_hint(shape)}.")


def levels(frames: Frames, clip: Clip, context: int) -> Image:
    """Frames of an answer that is no file, checked and rounded to uint8 as in a run: (horizon, H, W, 3).

    Raises UsageError with the first thing that is wrong with them.
    """
    height, width = size_of(frames)
    wanted = clip.spec.height, clip.spec.width
    if (height, width) != wanted:
        raise UsageError(
            f"frames: the clip is {wanted[1]}x{wanted[0]} px, the answer {width}x{height}. Make the clip at the size "
            "of your model: physbench.clip(..., size=(height, width))."
        )
    _check_count(len(frames), clip.horizon, context)  # type: ignore[arg-type]  # no file
    array: NDArray[Any]
    if isinstance(frames, torch.Tensor):
        tensor = frames.detach()
        array = _of_tensor(tensor, clip.horizon) if tensor.is_floating_point() else tensor.cpu().numpy()
    else:
        array = np.asarray(frames)
        if np.issubdtype(array.dtype, np.floating):
            native = f"f{min(array.dtype.itemsize, 8)}"  # torch takes no other, and warns of what is read-only
            array = _of_tensor(torch.from_numpy(np.require(array, native, ["C", "W"])), clip.horizon)
    if array.dtype != np.uint8:
        raise UsageError(
            f"frames: expected uint8 from 0 to 255 or floats from 0 to 1, got {array.dtype}. Convert them, as with "
            ".astype('uint8')."
        )
    if array.max() == 1:
        raise UsageError(
            "frames: uint8 frames with no value above 1: floats in [0, 1] were cast to whole numbers. Give the floats."
        )
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1) if array.shape[1] == 3 else array)


def _shape(frames: Frames) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in frames.shape)  # type: ignore[union-attr]
    except (AttributeError, TypeError):
        kind = type(frames).__name__
        raise UsageError(f"frames: expected an array, a tensor or the path of a video, got {kind}.") from None


def _hint(shape: Sequence[int]) -> str:
    if len(shape) == 5:
        return ": several answers go into physbench.score_batch"
    if len(shape) == 4 and 3 not in shape:
        return ": three channels, RGB, are scored"
    return ""


def _check_count(count: int, horizon: int, context: int) -> None:
    if count == horizon:
        return
    what = f"frames: the clip asks for {horizon} frames after its hand-over, got {count}"
    if count == horizon + context:
        raise UsageError(f"{what}: leave out the {context} context frames.")
    raise UsageError(f"{what}: too {'few' if count < horizon else 'many'}.")


def _of_tensor(frames: torch.Tensor, horizon: int) -> Image:
    """Floats in [0, 1] -> levels in the same order of axes. Raises UsageError for what is a failure in a run."""
    out = torch.empty(frames.shape, dtype=torch.uint8, device="cpu")  # whatever a program has as its default
    failures = store_chunk(frames[None], out[None], 0, horizon)
    if failures:
        raise UsageError(f"frames: {failures[0]}")
    return out.numpy()


REFERENCES = ("truth", "freeze")  # skill 1 and 0


class AxisScore(TypedDict):
    """An axis of one answer."""

    quality: float | None  # 0 to 1, as in the table of scores; None where the clip is not read on it
    skill: float | None  # 0 is the frozen last frame, 1 ground truth; of a guard what is lost, at most 0
    kind: str | None  # informative, guard, unscored or absent; None without references
    truth: float | None  # quality of ground truth
    freeze: float | None  # of the frozen last frame
    reason: str  # why there is no quality, or ""


class ReadingValue(TypedDict):
    """A row of the table of scores."""

    value: float | None
    unit: str
    quality: float | None
    status: str  # ok, failed, unavailable, not applicable
    reason: str


class ClipScore(TypedDict):
    """All that is read of one answer: numbers and text alone."""

    clip: str
    score: float | None  # skill over the axes: what a family of this clip alone adds to overall
    sentence: str
    axes: dict[str, AxisScore]
    readings: dict[str, ReadingValue]
    error: str  # of an answer in a batch that could not be read: nothing else is known of it; else ""


def clip(
    task: str,
    split: Split = "train",
    seed: int = 0,
    *,
    size: int | tuple[int, int] = 64,
    fps: float = 15.0,
    look: str = PLAIN,
    view: str = FAR,
    store: bool = True,
) -> Clip:
    """Make a clip, or load it from the cache. A model is given `.context(8)`, and asked for `.horizon` frames.

    Args:
        task: Its id or short name, "falling/projectile-v1" or "projectile"; or the id of a clip,
            "falling.projectile-v1.test.3", which names split and seed, too.
        split: "train"; "test" and "ood" are what models are judged on.
        seed: Number of the clip in its split, from 0.
        size: Side of the frames in px, or (height, width).
        fps: Frames a second; divides 1200.
        look: "plain" or "natural".
        view: "far", "near" or "moving".
        store: Whether a clip that is made is kept in the cache.

    Raises:
        UsageError: No such task, split, seed, size, rate, look or view.
    """
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, Integral) for side in sides):
        raise UsageError(f"size: expected a number of px or (height, width), got {size!r}.")
    return clip_store().get(_row(task, split, seed), render_spec(size, fps, look, view), store=store)


def score(
    clip: Clip | Row | str,
    frames: Frames,
    fps: float | None,
    *,
    axes: str | Sequence[str] | None = None,
    context: int = 8,
    references: bool = True,
) -> ClipScore:
    """Score one answer to one clip.

    Every reading and quality is that of `physbench eval` for the same clip and frames. `score` and the skill of each
    axis put the answer between the frozen last frame (0) and ground truth (1) on this clip; what these two read is
    computed once a clip and kept in memory, of the last 4096.

    Args:
        clip: From `physbench.clip` or a data set (`ClipDataset.clip`), or its id or Row: it is made at the rate and
            size of the frames, in the look plain and the view far, and the last 16 are kept.
        frames: The predicted frames alone, as many as `clip.horizon`: (T, H, W, 3) or (T, 3, H, W), uint8 or floats in
            [0, 1], an array or a tensor on any device; or the path of a video with these frames.
        fps: Rate of the frames; None: what the file says.
        axes: Of "consistency", "permanence" and "drift". Named axes have their headline readings alone, which takes a
            fraction of the time. None: all axes and all readings.
        context: Number of frames that the model was shown.
        references: Whether skill is asked for. Without, a clip that is new takes a third of the time, and there are
            qualities alone.

    Raises:
        UsageError: Frames of another shape, size, rate, type or range, NaN, too few or too many; an unknown clip or
            axis; a context that the clip has not.
    """
    chosen, scorers = _chosen(axes)
    shown, whole = _given(clip, frames, fps)
    return _scored(whole, levels(shown, whole, _checked(context, whole)), context, chosen, scorers, references)


def score_batch(
    clips: Clip | Row | str | Sequence[Clip | Row | str],
    answers: Sequence[Frames] | Frames,
    fps: float | None,
    *,
    axes: str | Sequence[str] | None = None,
    context: int = 8,
    references: bool = True,
) -> list[ClipScore]:
    """Score several answers, one after the other: as `score` for each of them.

    An answer that cannot be read, such as a damaged video, has an `error` in its place, and no score, axis or reading.

    Args:
        clips: One for each answer, or one for all of them.
        answers: A list as `score` takes each, or an array or tensor (N, T, H, W, 3) or (N, T, 3, H, W).
        fps: Of all of them.
        axes: As of `score`.
        context: As of `score`.
        references: As of `score`.

    Raises:
        UsageError: No answer can be read: the first one's error, with its number; an unknown axis; or another number
            of clips than of answers.
    """
    _chosen(axes)
    if is_file(answers):
        raise UsageError("answers: expected a list of answers, got one path. Put it in a list.")
    try:
        count = len(answers)  # type: ignore[arg-type]  # no path
    except TypeError:
        kind = type(answers).__name__
        raise UsageError(f"answers: expected a list of answers, an array or a tensor, got {kind}.") from None
    if not isinstance(clips, Clip | Row | str | Iterable):
        raise UsageError(f"clips: expected one clip or a list of them, got {type(clips).__name__}.")
    each = [clips] * count if isinstance(clips, Clip | Row | str) else list(clips)
    if len(each) != count:
        raise UsageError(f"clips: expected one for each of {count} answers, or one for all, got {len(each)}.")
    scores = []
    for number, clip in enumerate(each):
        try:
            answer = answers[number]  # type: ignore[index]
            scores.append(score(clip, answer, fps, axes=axes, context=context, references=references))
        except PhysbenchError as error:  # one answer must not lose the others
            scores.append(_unread(clip, number, error))
    if scores and all(result["error"] for result in scores):
        raise UsageError(scores[0]["error"])
    return scores


def _unread(clip: object, number: int, error: Exception) -> ClipScore:
    """The place of an answer of a batch that could not be read."""
    name = clip.id if isinstance(clip, Clip | Row) else str(clip)
    error_text = f"answer {number}: {error}"
    return ClipScore(clip=name, score=None, sentence="", axes={}, readings={}, error=error_text)


# What was given.


def _row(name: str, split: str, seed: int) -> Row:
    """The row of a task's id or short name, or of a clip's id."""
    change = ""
    if not isinstance(name, str):
        raise UsageError(f"task: expected the name of a task or clip, got {type(name).__name__}.")
    if name.count(".") >= 3 and "/" not in name:
        family, task, split, rest = name.split(".", 3)
        number, _, change = rest.partition(".")
        if not number.isdecimal():
            raise UsageError(f"seed: expected a whole number from 0 on, got {number!r}.")
        name, seed = f"{family}/{task}", int(number)
    if split not in SPLITS:
        raise UsageError(f"split: expected train, test or ood, got {split!r}.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed: expected a whole number from 0 on, got {seed!r}.")
    return Row(find_task(name).id, split, int(seed), change)


def _given(clip: Clip | Row | str, frames: Frames, fps: float | None) -> tuple[Frames, Clip]:
    """The frames, read where they are in a file, and the clip at their rate."""
    if is_file(frames):
        frames, own_fps = read_file(frames)  # type: ignore[arg-type]
        fps = own_fps if fps is None else fps
        if fps is None:
            raise UsageError("fps: the file does not say it. Give the rate of its frames.")
    elif fps is None:
        raise UsageError("fps: expected the rate of the frames, got None, which is for files alone.")
    if isinstance(fps, bool) or not isinstance(fps, int | float | np.integer | np.floating):
        raise UsageError(f"fps: expected a number of frames/s, got {fps!r:.80}.")
    fps = float(fps)
    if not isinstance(clip, Clip):
        if not isinstance(clip, Row | str):
            kind = type(clip).__name__
            raise UsageError(f"clip: expected a Clip, a Row or the name of a task or clip, got {kind}.")
        row = _row(clip, "train", 0) if isinstance(clip, str) else clip
        clip = _named(row, render_spec(size_of(frames), clip_rate(fps)), plugins.registered_files())
    # Refuse an answer that is not at the rate of its clip.
    if not abs(fps / clip.spec.fps - 1) <= SAME_RATE:
        raise UsageError(
            f"fps: the clip has {clip.spec.fps:g} frames/s, the answer {fps:g}. Make the clip at the rate of your "
            "model: physbench.clip(..., fps=...)."
        )
    return frames, clip


@lru_cache(16)  # clips that were named: some MB each
def _named(row: Row, spec: RenderSpec, files: tuple[plugins.UserFile, ...]) -> Clip:
    """A clip by its row, as it is with the user's tasks in these files."""
    return clip_store().get(row, spec, store=False)


def _checked(context: int, clip: Clip) -> int:
    most = clip.handover + 1
    if isinstance(context, bool) or not isinstance(context, int | np.integer) or not 1 <= context <= most:
        raise UsageError(f"context: expected 1 to {most} frames, all that the clip shows before, got {context!r}.")
    return int(context)


def _chosen(axes: str | Sequence[str] | None) -> tuple[tuple[Axis, ...], tuple[Scorer, ...]]:
    """The axes, in their order, and the scorers that are asked."""
    if axes is None:
        return AXES, _scorers(None)
    names = (axes,) if isinstance(axes, str) else tuple(axes) if isinstance(axes, Iterable) else ()
    for name in names:
        if name not in AXES:
            raise UsageError(f"axes: there is no axis {name!r}.{nearest(str(name), AXES)}")
    if not names:
        raise UsageError(f"axes: expected one or more of {', '.join(AXES)}, got {axes!r:.80}.")
    chosen = tuple(axis for axis in AXES if axis in names)
    return chosen, _scorers(chosen)


@lru_cache
def _scorers(axes: tuple[Axis, ...] | None) -> tuple[Scorer, ...]:
    """All scorers, or those whose own reading is the quality of one of these axes."""
    return tuple(each for each in find_scorers() if axes is None or (each.headline and each.axis in axes))


# What is read.


@dataclass(frozen=True)
class _Reference:
    """The few readings of ground truth or the frozen frame that an answer is put beside."""

    quality: tuple[float, ...]  # by the axes that are asked; NaN where it has none
    lawful: float | None  # s


_references = RecentlyUsed[tuple[object, ...], Mapping[str, _Reference]](4096)  # clips: some hundred bytes each


def _scored(
    clip: Clip, frames: Image, context: int, chosen: tuple[Axis, ...], scorers: tuple[Scorer, ...], references: bool
) -> ClipScore:
    rows = _read(clip, frames, context, scorers)
    beside = _beside(clip, context, chosen) if references else None
    quality = {axis: _quality(rows, axis) for axis in chosen}
    axes, whole = _axes(clip, context, quality, rows, beside)
    return ClipScore(
        clip=clip.id,
        score=whole,
        sentence=_sentence(clip, rows, beside),
        axes=axes,
        readings={
            row.reading: ReadingValue(
                value=row.value, unit=row.unit, quality=row.quality, status=row.status, reason=row.reason
            )
            for row in rows
        },
        error="",
    )


def _read(clip: Clip, frames: Image, context: int, scorers: tuple[Scorer, ...]) -> list[ScoreRow]:
    with _settings_of_a_run():
        return score_clip(clip, Rollout(clip.id, 0, frames), context, scorers, store=False)[0]


@contextmanager
def _settings_of_a_run() -> Iterator[None]:
    """Torch as in a worker of a run, whatever a training has set: its sums depend on the number of threads.

    So do products on the precision that is allowed, as processors have bfloat16, too. The number of threads is that of
    the calling thread; both are put back.
    """
    threads, default = (
        torch.get_num_threads(),
        torch.empty(0).device,
    )  # torch 2.6 does not say one that is set for a block
    precision = torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    if precision != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False), ExitStack() as stack:
            if default.type != "cpu":
                stack.enter_context(torch.device("cpu"))
            yield
    finally:
        torch.set_num_threads(threads)
        if precision != "highest":
            torch.set_float32_matmul_precision(precision)


def _beside(clip: Clip, context: int, axes: tuple[Axis, ...]) -> Mapping[str, _Reference]:
    """Ground truth and the frozen last frame, through the same chain."""
    made = clip_key(clip.row, clip.spec, clip.scene), clip.state_hash, clip.stated_velocities
    shown = zlib.crc32(np.ascontiguousarray(clip.frames).data)  # a caller may have changed them
    key = (*made, shown, context, axes, plugins.registered_files())
    known = _references.get(key)
    if known is not None:
        return known
    still = np.broadcast_to(clip.context(1), clip.future().shape)
    references = {}
    for name, frames in zip(REFERENCES, (clip.future(), np.ascontiguousarray(still)), strict=True):
        rows = _read(clip, frames, context, _scorers(axes))
        quality = tuple(math.nan if (each := _quality(rows, axis)) is None else each for axis in axes)
        references[name] = _Reference(quality, _value(rows, reading_of("lawful-time")))
    return _references.put(key, references)


def _quality(rows: Sequence[ScoreRow], axis: str) -> float | None:
    """Quality on an axis: the mean of its headline readings that apply."""
    qualities = [row.quality for row in rows if row.axis == axis and row.quality is not None]
    return sum(qualities) / len(qualities) if qualities else None


def _value(rows: Sequence[ScoreRow], reading: str) -> float | None:
    return next((row.value for row in rows if row.reading == reading), None)


def _axes(
    clip: Clip,
    context: int,
    quality: Mapping[Axis, float | None],
    rows: Sequence[ScoreRow],
    beside: Mapping[str, _Reference] | None,
) -> tuple[dict[str, AxisScore], float | None]:
    """Each axis, and the skill over all of them, as of a run of this clip alone."""
    axes = tuple(quality)
    scores: dict[str, AxisScore] = {
        axis: AxisScore(
            quality=value,
            skill=None,
            kind=None,
            truth=None,
            freeze=None,
            reason="" if value is not None else _why(rows, axis),
        )
        for axis, value in quality.items()
    }
    if beside is None:
        return scores, None
    truth, freeze = (np.array(beside[name].quality) for name in REFERENCES)
    own = np.array([0.0 if value is None else value for value in quality.values()])
    counts = np.isfinite(truth)  # where ground truth is read; what has no quality there has lost it
    block = np.where(counts, np.stack([own, np.nan_to_num(truth), np.nan_to_num(freeze)]), np.nan)
    task = clip.row.task
    qualities = Qualities(("answer", *REFERENCES), axes, {Stratum(task, clip.row.split): block[..., None]})
    fixed = kinds_of(SUITE_VERSION, clip.spec, context)
    roles = kinds(qualities, fixed)
    read = skills(task_means(qualities.means(), qualities.counts()), roles, 0, slice(1, 3))
    for place, axis in enumerate(axes):
        one = scores[axis]
        one["skill"], one["kind"] = _finite(read.task[task][place]), roles[task][place]
        one["truth"], one["freeze"] = _finite(truth[place]), _finite(freeze[place])
    family = read.family.get(clip.row.family)
    if family is None and (saturated := cells_of(roles[task], COUNTED[1])):  # nothing can be gained here, only lost
        return scores, _finite(np.mean(read.task[task][saturated]))
    return scores, None if family is None else _finite(family)


def _finite(value: float | np.floating | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _why(rows: Sequence[ScoreRow], axis: str) -> str:
    """Reason for which an axis has no quality; that the stand-in does not apply is the rule."""
    own = [row for row in rows if row.axis == axis]
    telling = [row for row in own if row.reading != reading_of("stand-in")]
    return "; ".join(dict.fromkeys(row.reason for row in telling or own))


def _sentence(clip: Clip, rows: Sequence[ScoreRow], beside: Mapping[str, _Reference] | None) -> str:
    """The first sentence of a report on this clip: for how long the answer is physical, or what is read instead."""
    seconds = _value(rows, reading_of("lawful-time"))
    if seconds is not None:
        truth, freeze = (None if beside is None else beside[name].lawful for name in REFERENCES)
        horizon = float(clip.times[-1]) if truth is None else truth
        return physical_for(seconds, horizon, freeze, truth)
    stand_in = scorer_of("stand-in").id
    agreed = _value(rows, stand_in)
    if agreed is not None:
        return f"Ends as ground truth does in {100 * agreed:.0f} % of what is asked about the end."
    for axis in AXES:
        if (value := _quality(rows, axis)) is not None:
            return f"Quality of {axis} is {value:.2f}."
    return "Nothing could be read of this clip."
