"""A model whose answers are videos: plays them back, clip by clip, at the size and rate that are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard, check_card
from physbench.adapters.videos_decode import UnusableError, VideoInfo, decode_frames, probe_video
from physbench.adapters.videos_fit import Resampler, make_resampler, same_shape, scored_size
from physbench.adapters.videos_image import conditioning_image
from physbench.adapters.videos_listing import SampleKey, VideoListing, sample_name
from physbench.adapters.videos_source import VideoSource
from physbench.adapters.videos_start import StartDecision, decide_start
from physbench.adapters.videos_start_words import describe_start, refuse_open
from physbench.adapters.videos_steps import Step, frames_needed, measure_steps
from physbench.adapters.videos_time import begins_with_context, frames_at_times, scored_rate
from physbench.clips.conditioning import ANSWER, Answer
from physbench.clips.rgb_frames import Frame
from physbench.errors import ModelError
from physbench.printable import printable

END_TOLERANCE = 0.02  # s that may be missing at the end of a video that still counts as complete


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
        self.notes: list[str] = []
        self.infos: dict[SampleKey, VideoInfo] = {}
        self.unusable: dict[SampleKey, str] = {}
        for key, entry in sorted(listing.entries.items()):
            try:
                self.infos[key] = probe_video(source, entry)
            except UnusableError as error:
                self.unusable[key] = str(error)
        self._check_shapes()
        self.card = self._card()
        self._examples: dict[bool, str] = {}  # first video found to begin with the conditioning frames, or not
        self._resamplers: dict[tuple[int, int], Resampler] = {}
        self._start: StartDecision | None = None
        self._collect_notes()

    @property
    def exported_size(self) -> tuple[int, int]:
        return self.answer.asked.height, self.answer.asked.width

    def _card(self) -> ModelCard:
        asked = self.answer.asked
        fps = scored_rate([self.rate(key) for key in self.infos], asked.fps)
        return check_card(
            ModelCard(
                name=self.answer.name or default_name(self.source.path),
                image_size=scored_size(*self.exported_size),
                fps=fps,
                context_frames=int((asked.context_frames - 1) * fps / asked.fps + 1e-9) + 1,
                uses_actions=self.answer.uses_actions,
                uses_prompt=True,
                stochastic=any(sample for _, sample in self.listing.entries),
                track=self.answer.track,
                training_clips=self.answer.training_clips,
                look=asked.look,
            )
        )

    def rate(self, key: SampleKey) -> float:
        """Frames a second of a video: from the answer document, else from the file, else that of the export."""
        return self.answer.fps or self.infos[key].rate or self.answer.asked.fps

    def stated_rate(self, key: SampleKey) -> float | None:
        """Frames a second that replace the time stamps, where the answer document gives a rate or there are none."""
        return self.rate(key) if self.answer.fps or self.listing.entries[key].is_image_sequence else None

    def _check_shapes(self) -> None:
        """Refuse videos of another aspect ratio if the answer document does not say how they were fitted."""
        if self.answer.fit is not None:
            return
        for key, info in self.infos.items():
            if not same_shape(self.exported_size, (info.height, info.width)):
                height, width = self.exported_size
                raise ModelError(
                    f"{self.listing.entries[key].name} is {info.width}x{info.height}, which is not the shape of "
                    f"{width}x{height}. How was the picture fitted?\nSet `fit` in {ANSWER}, or --model-arg "
                    "fit=stretch|contain|cover."
                )

    def _collect_notes(self) -> None:
        sizes = {f"{one.width}x{one.height}" for one in self.infos.values()}
        rates = {f"{self.rate(key):.4g}" for key in self.infos}
        if sizes:
            shown = ", ".join(sorted(sizes)[:4])
            self.notes.append(
                f"Videos of {shown} px at {', '.join(sorted(rates)[:4])} frames/s are scored as {self.card.spec}."
            )
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
        found = {}
        seconds = {clip.id: clip.seconds for clip in self.answer.asked.clips}
        for key, info in self.infos.items():
            rate = self.rate(key)
            known = self.answer.includes_context != "auto"
            handover = self.stated_handover(key) if known else -1 / rate  # the latest that is possible
            there = self.duration(key) - 1 / rate - handover
            if there < seconds[key[0]] - max(END_TOLERANCE, 0.5 / rate):
                wanted = f"{'' if known else 'at least '}{round((seconds[key[0]] + handover) * rate) + 1} frames"
                name, bound = self.listing.entries[key].name, "" if known else "at most "
                found[key] = f"{name} {info.frames} of {wanted}, {bound}{max(there, 0):.3g} of {seconds[key[0]]:g} s"
        return found

    def duration(self, key: SampleKey) -> float:
        """Seconds from the start of the first frame to the end of the last one."""
        info, rate = self.infos[key], self.rate(key)
        return info.frames / rate if self.stated_rate(key) else float(info.stamps[-1]) + 1 / rate

    def stated_handover(self, key: SampleKey) -> float:
        """Seconds from the first frame of a video to time 0, from the answer document."""
        stated, rate = self.answer.includes_context, self.rate(key)
        if stated is True:
            return (self.answer.asked.context_frames - 1) / self.answer.asked.fps
        return (int(stated) - 1) / rate  # False is 0: the first frame lies one interval after time 0

    def _resampler_for(self, key: SampleKey) -> Resampler:
        size = self.infos[key].height, self.infos[key].width
        if size not in self._resamplers:
            self._resamplers[size] = make_resampler(self.exported_size, size, self.card.image_size, self.answer.fit)
        return self._resamplers[size]

    def play(self, item: tuple[str, int], *, context: NDArray[np.uint8], horizon: int) -> Iterator[Frame]:
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
        stream = decode_frames(self.source, self.listing.entries[item], self.stated_rate(item))
        last: tuple[Frame, Frame] | None = None  # a frame of the video, and the same resampled
        for frame in frames_at_times(stream, targets, rate):
            if last is None or last[0] is not frame:
                last = frame, resample(frame)
            yield last[1]
        if last is None:
            raise ModelError(f"{sample_name(item)}: the video ends before the hand-over.")

    @property
    def start_is_open(self) -> bool:
        """Whether the videos have to be looked at to see if they begin with the one image."""
        return self.answer.includes_context == "auto" and self.answer.asked.context_frames == 1 and bool(self.infos)

    def begins_with_image(self) -> bool:
        """Whether the videos begin with the one conditioning image, decided once from all of them.

        Raises:
            ModelError: They do not tell, or are of two kinds.
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
        asked, card = self.answer.asked, self.card
        shrink = make_resampler(self.exported_size, self.exported_size, card.image_size, None)
        clips = {clip.id: clip for clip in asked.clips}
        images: dict[str, NDArray[np.uint8]] = {}
        found = {}
        for key in self.infos:
            if key[0] not in images:
                clip = clips[key[0]]
                images = {key[0]: conditioning_image(clip, self.export_folders, self.exported_size, shrink, card.spec)}
            rate, resample = self.rate(key), self._resampler_for(key)
            stream = decode_frames(self.source, self.listing.entries[key], self.stated_rate(key))
            try:
                start = [(time, resample(frame)) for time, _, frame in islice(stream, frames_needed(rate))]
            except UnusableError:
                continue  # it fails when it is played
            times, frames = [time * rate for time, _ in start], [frame for _, frame in start]
            if frames:
                inside = resample.inside(*frames[0].shape[:2])
                found[self.listing.entries[key].name] = measure_steps(images[key[0]], frames, times, inside)
        return found

    def _handover(
        self, item: SampleKey, context: NDArray[np.uint8], horizon: int, rate: float, resample: Resampler
    ) -> float:
        """Seconds from the first frame to time 0: from the answer document, else by comparing frames.

        Behind one image all videos are compared together, behind several frames each on its own.
        """
        if self.answer.includes_context != "auto":
            return self.stated_handover(item)
        asked = self.answer.asked
        if asked.context_frames == 1:
            return 0.0 if self.begins_with_image() else -1 / rate
        stream = decode_frames(self.source, self.listing.entries[item], self.stated_rate(item))
        first = next((resample(frame) for _, _, frame in stream), None)
        if first is None:
            raise ModelError(f"{sample_name(item)}: the video holds no frames.")
        handover = (asked.context_frames - 1) / asked.fps
        spare = self.duration(item) - horizon / self.card.fps
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
