"""A model whose answers are videos: plays them back, clip by clip, at the size and rate that are scored."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.conditioning import ANSWER, EXPORTED_ACTIONS, Answer, ClipAsked
from physbench.clips.generate import make_scene
from physbench.clips.video import demuxer
from physbench.models.protocol import ModelCard, check_card
from physbench.models.videos.decode import UnusableError, VideoInfo, decode_frames, probe_video
from physbench.models.videos.files import SampleKey, VideoListing, VideoSource, sample_name
from physbench.models.videos.resample import (
    TOLERANCE,
    Resampler,
    Timing,
    begins_with_context,
    evenly_timed,
    frames_at_times,
    make_resampler,
    meant_rate,
    renderable_rate,
    retimed,
    same_shape,
    scored_rate,
    scored_size,
)
from physbench.models.videos.start import (
    StartDecision,
    Step,
    decide_start,
    describe_start,
    frames_needed,
    measure_steps,
    refuse_open,
)
from physbench.support.arrays import Image
from physbench.support.errors import ModelError
from physbench.support.printable import printable
from physbench.world.bullet import simulate
from physbench.world.scene import RenderSpec
from physbench.world.styles.catalogue import draw

# The conditioning image of a clip at the scored size: that of the export where it is there, else drawn again.


def conditioning_image(
    clip: ClipAsked, places: Sequence[Path], size: tuple[int, int], resample: Callable[[Image], Image], spec: RenderSpec
) -> Image:
    """The image (H, W, 3) that a model was shown of a clip, at the scored size.

    Args:
        clip: The clip, with what makes it.
        places: Folders that may be that of the export.
        size: (height, width) px of the export.
        resample: From the exported to the scored size.
        spec: Scored size and rate.
    """
    for folder in places:
        image = exported_image(folder, clip)
        if image is not None and image.shape[:2] == size:
            return resample(image)
    return drawn_image(clip.row, spec)


def exported_image(folder: Path, clip: ClipAsked) -> Image | None:
    """The image of the export in a folder, or None: it is not there, or not the one that was exported."""
    import av

    name = PurePosixPath(clip.files.image)
    if name.is_absolute() or ".." in name.parts:
        return None
    path = folder / name
    try:
        if path.is_symlink() or path.stat().st_size > 64 * 2**20:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != clip.sha256.get("image"):
        return None
    with av.open(io.BytesIO(content), "r", format="png_pipe") as container:
        frame: Any = next(container.decode(video=0))
    image: Image = frame.to_ndarray(format="rgb24")
    return image


def drawn_image(row: Row, spec: RenderSpec) -> Image:
    """The frame (H, W, 3) at time 0, simulated and drawn; nothing after it is."""
    scene, now = make_scene(row, spec.view), np.zeros(1)
    frame: Image = draw(scene, now, simulate(scene, now).states, spec).frames[0]
    return frame


# A model whose answers are videos: plays them back, clip by clip, at the size and rate that are scored.


def default_name(path: Path) -> str:
    """Name of a model whose answer names none: that of the folder, or of the folder that holds `answers`."""
    path = path.resolve()
    return printable(path.parent.name if path.name == "answers" else path.stem)


class RecordedVideos:
    """A RecordedModel: it answers with videos that exist. `notes` holds what readers of the run should know."""

    def __init__(
        self, source: VideoSource, answer: Answer, listing: VideoListing, export_folders: Sequence[Path] = ()
    ) -> None:
        self.source, self.answer, self.listing = source, answer, listing
        self.export_folders = tuple(export_folders)  # where the conditioning images may lie
        self.names = {clip.row.id: clip.id for clip in answer.asked.clips}  # of the files, by clip
        self._seconds = {clip.id: clip.seconds for clip in answer.asked.clips}
        self.notes: list[str] = []
        self.infos: dict[SampleKey, VideoInfo] = {}
        self.unusable: dict[SampleKey, str] = {}
        for key, entry in sorted(listing.entries.items()):
            try:
                self.infos[key] = probe_video(source, entry)
            except UnusableError as error:
                self.unusable[key] = str(error)
        self.timings, notes = self._read_clocks()
        self._check_shapes()
        self.card = self._card()
        names = answer.asked.action_names
        self.run_settings = {} if names is None else {EXPORTED_ACTIONS: ", ".join(names)}
        self._examples: dict[bool, str] = {}  # first video found to begin with the conditioning frames, or not
        self._resamplers: dict[tuple[int, int, float], Resampler] = {}
        self._start: StartDecision | None = None
        self._collect_notes(notes)

    @property
    def exported_size(self) -> tuple[int, int]:
        return self.answer.asked.height, self.answer.asked.width

    def _card(self) -> ModelCard:
        request = self.answer.asked
        fps = scored_rate([self.rate(key) for key in self.infos], request.fps)
        return check_card(
            ModelCard(
                name=self.answer.name or default_name(self.source.path),
                image_size=scored_size(*self.exported_size),
                fps=fps,
                context_frames=int((request.context_frames - 1) * fps / request.fps + 1e-9) + 1,
                uses_actions=self.answer.uses_actions,
                uses_prompt=True,
                stochastic=any(sample for _, sample in self.listing.entries),
                track=self.answer.track,
                training_clips=self.answer.training_clips,
                look=request.look,
                view=request.view,
                uses_camera=self.answer.uses_actions,
            )
        )

    def rate(self, key: SampleKey) -> float:
        """Frames a second of a video."""
        return self.timings[key].rate

    def _read_clocks(self) -> tuple[dict[SampleKey, Timing], list[str]]:
        """Display times of the frames of each video; notes where they are not, or may not be, what its file says."""
        requested, stated = self.answer.asked.fps, self.answer.fps
        timings: dict[SampleKey, Timing] = {}
        alike: dict[tuple[float, float, bool], list[SampleKey]] = {}  # by what their clocks say
        unclear = []
        for key, info in self.infos.items():
            if info.rate is None:
                timings[key] = evenly_timed(info.frames, stated or requested)
                if info.frames > 1 and not self.listing.entries[key].is_image_sequence:
                    unclear.append(key)
            elif info.repeats and (stated or self.is_full(info.frames, key, requested)):
                timings[key] = evenly_timed(info.frames, stated or requested)
                unclear.append(key)
            else:
                file = Timing(info.rate, info.stamps, info.end)
                timings[key] = retimed(file, stated) if stated else file
                is_coarse = demuxer(self.listing.entries[key].name) == "gif"
                alike.setdefault((round(1 / info.rate, 4), info.tick, is_coarse), []).append(key)
        if stated:
            return timings, []
        notes = []
        if unclear:
            notes.append(
                f"{self._count(unclear)}: time stamps are missing or repeat; frames are read one after the other at "
                f"{requested:g} frames/s, that of the export. Another rate: --model-arg fps=..."
            )
        for (_, tick, is_coarse), keys in alike.items():
            notes += self._read_alike(keys, tick, is_coarse, timings)
        return timings, notes

    def _read_alike(
        self, keys: Sequence[SampleKey], tick: float, is_coarse: bool, timings: dict[SampleKey, Timing]
    ) -> list[str]:
        """Correct the timings of videos of one rate where their container had to round it; notes on that."""
        requested = self.answer.asked.fps
        rate = timings[keys[0]].rate

        def fitting(other: float) -> int:
            counts = {key: retimed(timings[key], other).counts | timings[key].counts for key in keys}
            return sum(any(self.is_full(count, key, other) for count in counts[key]) for key in keys)

        meant = meant_rate(rate, tick, requested, fitting, is_coarse=is_coarse)
        if meant is not None:
            # Time stamps that drift by less than a quarter of an interval over a video show the same frames
            tolerated = 0.25 / abs(meant - rate) if meant != rate else math.inf
            drifting = [key for key in keys if timings[key].stamps[-1] > tolerated]
            timings.update({key: retimed(timings[key], meant) for key in drifting})
            if not drifting:
                return []
            why = "as many frames as that asks for" if fitting(meant) else "the rate of the export"
            return [
                f"{self._count(drifting)}: the file says {rate:.4g} frames/s, to which {meant:g} may have been "
                f"rounded; read as {meant:g} ({why}). If the file is right, say --model-arg fps={rate:.4g}."
            ]
        if fitting(requested) and not fitting(rate) and abs(rate / requested - 1) > TOLERANCE.rate:
            return [
                f"{self._count(keys)}: as many frames as were asked for at {requested:g} frames/s, but the file says "
                f"{rate:.4g}. If that is wrong, say --model-arg fps={requested:g}."
            ]
        if is_coarse and renderable_rate(rate) is None:
            return [
                f"{self._count(keys)}: {rate:.4g} frames/s. GIF rounds intervals to 0.01 s: if they were "
                "made at another rate, say --model-arg fps=..."
            ]
        return []

    def is_full(self, frames: int, key: SampleKey, rate: float) -> bool:
        """True if a number of frames is the requested one of a clip at a rate in frames/s."""
        request, stated = self.answer.asked, self.answer.includes_context
        context = round((request.context_frames - 1) / request.fps * rate) + 1
        leads = {0, 1, context} if stated == "auto" else {context if stated is True else int(stated)}
        return frames - round(self._seconds[key[0]] * rate) in leads

    def _count(self, keys: Sequence[SampleKey]) -> str:
        """ "3 videos, such as a.gif", or the name of the one."""
        name = self.listing.entries[keys[0]].name
        return name if len(keys) == 1 else f"{len(keys)} videos, such as {name}"

    def _check_shapes(self) -> None:
        """Refuse videos of another aspect ratio if the answer document does not say how they were fitted."""
        if self.answer.fit is not None:
            return
        for key, info in self.infos.items():
            aspect = info.view.shown_aspect
            if not same_shape(self.exported_size, (info.height, info.width), aspect):
                height, width = self.exported_size
                shown = "" if aspect == 1 else f" with pixels {aspect:.3g} times as wide as high"
                raise ModelError(
                    f"{self.listing.entries[key].name} is {info.width}x{info.height}{shown}, which is not the shape of "
                    f"{width}x{height}. How was the picture fitted?\nSet `fit` in {ANSWER}, or --model-arg "
                    "fit=stretch|contain|cover."
                )

    def _collect_notes(self, notes: Sequence[str]) -> None:
        sizes = {f"{one.width}x{one.height}" for one in self.infos.values()}
        rates = dict.fromkeys(f"{rate:.4g}" for rate in sorted(self.rate(key) for key in self.infos))
        if sizes:
            shown = ", ".join(sorted(sizes)[:4])
            self.notes.append(
                f"Videos of {shown} px at {', '.join(list(rates)[:4])} frames/s are scored as {self.card.spec}."
            )
        self.notes += notes
        unfollowed: dict[str, list[SampleKey]] = {}
        for key, info in self.infos.items():
            for words in info.unfollowed:
                unfollowed.setdefault(words, []).append(key)
        self.notes += [f"{self._count(keys)}: {words} is not followed." for words, keys in unfollowed.items()]
        held = [key for key in self.infos if self._is_held(key)]
        if held:
            self.notes.append(f"{self._count(held)}: the last frame stays for long, as players show it.")
        self.reading_notes = tuple(self.notes)
        if self.unusable:
            self.notes.append(
                f"{len(self.unusable)} unusable, which count as failed: {' '.join(self.unusable.values()):.2000}"
            )
        short = self.short_videos()
        if short:
            self.notes.append(
                f"{len(short)} short; what is not there counts as missing: " + "; ".join(list(short.values())[:12])
            )
        outside = sorted(self.listing.entries[key].name for key in self.infos if not self._resampler_for(key).covered)
        if outside:
            self.notes.append(
                f"{len(outside)} videos cut off parts of the scene, such as {outside[0]}: nothing is seen there."
            )

    def short_videos(self) -> dict[SampleKey, str]:
        """Videos that end before their clip does: a description of each."""
        shortfalls = {}
        for key, info in self.infos.items():
            rate = self.rate(key)
            known = self.answer.includes_context != "auto"
            handover = self.stated_handover(key) if known else -1 / rate  # the latest that is possible
            there = self.duration(key) - 1 / rate - handover
            seconds = self._seconds[key[0]]
            # 0.02 s may be missing at the end of a video that still counts as complete
            if there < seconds - max(0.02, 0.5 / rate):
                wanted = f"{'' if known else 'at least '}{round((seconds + handover) * rate) + 1} frames"
                name, bound = self.listing.entries[key].name, "" if known else "at most "
                shortfalls[key] = f"{name} {info.frames} of {wanted}, {bound}{max(there, 0):.3g} of {seconds:g} s"
        return shortfalls

    def duration(self, key: SampleKey) -> float:
        """Seconds from the start of the first frame to the end of the last one."""
        return max(self.timings[key].end, self._even_duration(key))

    def _even_duration(self, key: SampleKey) -> float:
        """The same, if the last frame is shown for no longer than others."""
        return float(self.timings[key].stamps[-1]) + 1 / self.rate(key)

    def _is_held(self, key: SampleKey) -> bool:
        """True if the last frame fills much of the time that is scored."""
        needed = self._seconds[key[0]]
        # The last frame may be shown for 0.5 s beyond an interval before a note says so
        return min(self.duration(key), needed) - self._even_duration(key) > 0.5

    def _frames(self, key: SampleKey) -> Iterator[tuple[float, float, Image]]:
        """(time in s from the first frame, duration in s, frame (H, W, 3)) of a video: see `frames_at_times`."""
        timing, first = self.timings[key], None
        for number, frame in decode_frames(self.source, self.listing.entries[key], self.infos[key]):
            first = timing.time(number) if first is None else first
            yield timing.time(number) - first, timing.duration(number), frame

    def stated_handover(self, key: SampleKey) -> float:
        """Seconds from the first frame of a video to time 0, from the answer document."""
        stated, rate = self.answer.includes_context, self.rate(key)
        if stated is True:
            return (self.answer.asked.context_frames - 1) / self.answer.asked.fps
        return (int(stated) - 1) / rate  # False is 0: the first frame lies one interval after time 0

    def _resampler_for(self, key: SampleKey) -> Resampler:
        info = self.infos[key]
        size, aspect = (info.height, info.width), info.view.shown_aspect
        if (*size, aspect) not in self._resamplers:
            self._resamplers[*size, aspect] = make_resampler(
                self.exported_size, size, self.card.image_size, self.answer.fit, aspect
            )
        return self._resamplers[*size, aspect]

    def play(self, item: tuple[str, int], *, context: NDArray[np.uint8], horizon: int) -> Iterator[Image]:
        """Play one sample of one clip: see RecordedModel.play."""
        item = (self.names.get(item[0], item[0]), item[1])
        if item in self.unusable:
            raise ModelError(self.unusable[item])
        if item not in self.infos:
            raise ModelError(self.listing.reason(item))
        rate = self.rate(item)
        resample = self._resampler_for(item)
        handover = self._handover(item, context, horizon, rate, resample)
        targets = [handover + (number + 1) / self.card.fps for number in range(horizon)]
        stream = self._frames(item)
        last: tuple[Image, Image] | None = None  # a frame of the video, and the same resampled
        for frame in frames_at_times(stream, targets, rate):
            if last is None or last[0] is not frame:
                last = frame, resample(frame)
            yield last[1]
        if last is None:
            raise ModelError(f"{sample_name(item)}: the video ends before the hand-over.")

    @property
    def start_is_open(self) -> bool:
        """True if only the pictures can tell whether the videos begin with the one image."""
        return self.answer.includes_context == "auto" and self.answer.asked.context_frames == 1 and bool(self.infos)

    def begins_with_image(self) -> bool:
        """True if the videos begin with the one conditioning image, decided once from all of them.

        Raises ModelError: they do not tell, or are of two kinds.
        """
        if self._start is None:
            self._start = decide_start(self.first_steps())
            if self._start.begins_with_image is not None:
                self.notes.append(describe_start(self._start))
        if self._start.begins_with_image is None:
            raise refuse_open(self._start)
        return self._start.begins_with_image

    def first_steps(self) -> dict[str, list[Step]]:
        """By name of the video, how its objects move at its start, beside the conditioning image of the clip."""
        request, card = self.answer.asked, self.card
        shrink = make_resampler(self.exported_size, self.exported_size, card.image_size, None)
        clips = {clip.id: clip for clip in request.clips}
        images: dict[str, NDArray[np.uint8]] = {}
        steps = {}
        for key in self.infos:
            if key[0] not in images:
                clip = clips[key[0]]
                images = {key[0]: conditioning_image(clip, self.export_folders, self.exported_size, shrink, card.spec)}
            rate, resample = self.rate(key), self._resampler_for(key)
            stream = self._frames(key)
            try:
                start = [(time, resample(frame)) for time, _, frame in islice(stream, frames_needed(rate))]
            except UnusableError:
                continue  # it fails when it is played
            times, frames = [time * rate for time, _ in start], [frame for _, frame in start]
            if frames:
                inside = resample.inside(*frames[0].shape[:2])
                steps[self.listing.entries[key].name] = measure_steps(images[key[0]], frames, times, inside)
        return steps

    def _handover(
        self, item: SampleKey, context: NDArray[np.uint8], horizon: int, rate: float, resample: Resampler
    ) -> float:
        """Seconds from the first frame to time 0: from the answer document, else by comparing frames.

        Behind one image all videos are compared together, behind several frames each on its own.
        """
        if self.answer.includes_context != "auto":
            return self.stated_handover(item)
        request = self.answer.asked
        if request.context_frames == 1:
            return 0.0 if self.begins_with_image() else -1 / rate
        first = next((resample(frame) for _, _, frame in self._frames(item)), None)
        if first is None:
            raise ModelError(f"{sample_name(item)}: the video holds no frames.")
        handover = (request.context_frames - 1) / request.fps
        spare = self._even_duration(item) - horizon / self.card.fps
        with_context = begins_with_context(first, context, spare, handover + 1 / rate)
        verb = "begin" if with_context else "do not begin"
        note = f"Videos that {verb} with the conditioning frames were found by looking (includes_context: auto)."
        if note not in self.notes:
            self.notes.append(note)
            self._examples[with_context] = self.listing.entries[item].name
            if len(self._examples) == 2:
                self.notes.append(
                    f"{self._examples[True]} seems to begin with the conditioning frames and {self._examples[False]} "
                    "does not: each is scored as it looks, where all should be alike. "
                    f"Set `includes_context` in {ANSWER}."
                )
        return handover if with_context else -1 / rate


def inspect_videos(
    source: VideoSource, answer: Answer, listing: VideoListing, folders: Sequence[Path] = ()
) -> Iterator[tuple[str, str]]:
    """Decode every video and report what was found; `folders` may hold the conditioning images.

    Yields:
        (kind, text), where kind is "missing", "unusable", "short", "extra", "note" or "result". "result" sums up, and
        comes only where some video cannot be scored to its end.

    Raises ModelError: it is open whether the videos begin with the one conditioning image. This comes last.
    """
    model = RecordedVideos(source, answer, listing, folders)
    samples = 1 + max((sample for _, sample in listing.entries), default=0)
    short = model.short_videos()
    unscorable = early = 0
    for clip in answer.asked.clips:
        for key in ((clip.id, sample) for sample in range(samples)):
            if key not in listing.entries:
                unscorable += 1
                yield "missing", listing.reason(key)
                continue
            problem = model.unusable.get(key) or _decoding_problem(source, model, key)
            if problem:
                unscorable += 1
                yield "unusable", problem
            elif key in short:
                early += 1
                yield "short", short[key]
    for name, why in listing.extra.items():
        yield "extra", f"{name} ({why})"
    yield from (("note", text) for text in model.reading_notes or ("No video can be read.",))
    whole = len(answer.asked.clips) * samples
    summary = [
        f"{unscorable} of {whole} videos cannot be scored" if unscorable else "",
        f"{early} of {whole} end early" if early else "",
    ]
    if any(summary):
        yield "result", ", ".join(part for part in summary if part)
    if model.start_is_open:
        before = len(model.notes)
        model.begins_with_image()
        yield from (("note", text) for text in model.notes[before:])


def _decoding_problem(source: VideoSource, model: RecordedVideos, key: tuple[str, int]) -> str | None:
    """Fault in the frames of one video, or None. All of them are decoded."""
    count = 0
    try:
        for _ in decode_frames(source, model.listing.entries[key], model.infos[key]):
            count += 1
    except UnusableError as error:
        return str(error)
    if count < model.infos[key].frames:
        return f"{model.listing.entries[key].name}: {count} of {model.infos[key].frames} frames can be decoded."
    return None
