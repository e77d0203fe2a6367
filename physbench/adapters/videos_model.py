"""Plays the videos of a folder back, clip by clip, as frames of the size and rate that are scored."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard, check_card
from physbench.adapters.videos_decode import Frame, Probed, UnusableError, frames, probe
from physbench.adapters.videos_fit import Resampler, resampler, same_shape, scored_size
from physbench.adapters.videos_listing import Key, Listing, label
from physbench.adapters.videos_source import Source, printable
from physbench.adapters.videos_time import at_times, begins_with_context, scored_rate
from physbench.clips.conditioning import ANSWER, Answer
from physbench.errors import ModelError

LATE = 0.02  # s that a video may lack at its end without being called short


def name_of(path: Path) -> str:
    """Name of a model that nobody named: that of the folder, or of the one above `answers`."""
    path = path.resolve()
    return printable(path.parent.name if path.name == "answers" else path.stem)


class Videos:
    """A model that has answered already. `notes`: what a reader of the run should know."""

    def __init__(self, source: Source, answer: Answer, listing: Listing) -> None:
        self.source, self.answer, self.listing = source, answer, listing
        self.notes: list[str] = []
        self.probed: dict[Key, Probed] = {}
        self.unusable: dict[Key, str] = {}
        for key, entry in sorted(listing.entries.items()):
            try:
                self.probed[key] = probe(source, entry)
            except UnusableError as error:
                self.unusable[key] = str(error)
        self._check_shapes()
        self.card = self._card()
        self._seen: dict[bool, str] = {}  # first video that was found to begin with the conditioning frames, or not to
        self._resamplers: dict[tuple[int, int], Resampler] = {}
        self._say()

    @property
    def asked_size(self) -> tuple[int, int]:
        return self.answer.asked.height, self.answer.asked.width

    def _card(self) -> ModelCard:
        asked = self.answer.asked
        fps = scored_rate([self.rate(key) for key in self.probed], asked.fps)
        return check_card(
            ModelCard(
                name=self.answer.name or name_of(self.source.path),
                image_size=scored_size(*self.asked_size),
                fps=fps,
                context_frames=int((asked.context_frames - 1) * fps / asked.fps + 1e-9) + 1,
                uses_actions=self.answer.uses_actions,
                uses_prompt=True,
                stochastic=any(sample for _, sample in self.listing.entries),
                track=self.answer.track,
            )
        )

    def rate(self, key: Key) -> float:
        """Frames a second of a video: what is stated, else what the file says, else that of the export."""
        return self.answer.fps or self.probed[key].rate or self.answer.asked.fps

    def stated_rate(self, key: Key) -> float | None:
        """Frames a second where time stamps are not to be believed, or are none."""
        return self.rate(key) if self.answer.fps or self.listing.entries[key].pictures else None

    def _check_shapes(self) -> None:
        """Another shape without a word about how it came about cannot be measured."""
        if self.answer.fit is not None:
            return
        for key, probed in self.probed.items():
            if not same_shape(self.asked_size, (probed.height, probed.width)):
                height, width = self.asked_size
                raise ModelError(
                    f"{self.listing.entries[key].name} is {probed.width}x{probed.height}, which is not the shape of "
                    f"{width}x{height}. How was the picture fitted?\nSay `fit` in {ANSWER}, or --model-arg "
                    "fit=stretch|contain|cover."
                )

    def _say(self) -> None:
        sizes = {f"{one.width}x{one.height}" for one in self.probed.values()}
        rates = {f"{self.rate(key):.4g}" for key in self.probed}
        if sizes:
            shown = ", ".join(sorted(sizes)[:4])
            self.notes.append(
                f"Videos of {shown} px at {', '.join(sorted(rates)[:4])} frames/s are scored as {self.card.spec}."
            )
        if self.unusable:
            self.notes.append(
                f"{len(self.unusable)} unusable, which count as failed: {' '.join(self.unusable.values()):.2000}"
            )
        short = self.short()
        if short:
            self.notes.append(
                f"{len(short)} short; what is not there counts as missing: " + "; ".join(list(short.values())[:12])
            )
        outside = sorted(self.listing.entries[key].name for key in self.probed if not self.resampler_of(key).covered)
        if outside:
            self.notes.append(
                f"{len(outside)} videos cut off parts of the scene, as {outside[0]}: nothing is seen there."
            )

    def short(self) -> dict[Key, str]:
        """Videos that end before their clip does, in words."""
        found = {}
        seconds = {clip.id: clip.seconds for clip in self.answer.asked.clips}
        for key, probed in self.probed.items():
            rate = self.rate(key)
            known = self.answer.includes_context != "auto"
            lead = self.lead(key) if known else -1 / rate  # at least that long
            there = self.length(key) - 1 / rate - lead
            if there < seconds[key[0]] - max(LATE, 0.5 / rate):
                wanted = f"{'' if known else 'at least '}{round((seconds[key[0]] + lead) * rate) + 1} frames"
                name, least = self.listing.entries[key].name, "" if known else "at most "
                found[key] = f"{name} {probed.frames} of {wanted}, {least}{max(there, 0):.3g} of {seconds[key[0]]:g} s"
        return found

    def length(self, key: Key) -> float:
        """Seconds from the first frame to the end of the last one."""
        probed, rate = self.probed[key], self.rate(key)
        return probed.frames / rate if self.stated_rate(key) else float(probed.stamps[-1]) + 1 / rate

    def lead(self, key: Key) -> float:
        """Seconds from the first frame of a video to time 0, as it is stated."""
        said, rate = self.answer.includes_context, self.rate(key)
        if said is True:
            return (self.answer.asked.context_frames - 1) / self.answer.asked.fps
        return (int(said) - 1) / rate  # False is 0: the first frame lies one interval behind

    def resampler_of(self, key: Key) -> Resampler:
        size = self.probed[key].height, self.probed[key].width
        if size not in self._resamplers:
            self._resamplers[size] = resampler(self.asked_size, size, self.card.image_size, self.answer.fit)
        return self._resamplers[size]

    def play(self, item: tuple[str, int], *, context: NDArray[np.uint8], horizon: int) -> Iterator[Frame]:
        """Up to `horizon` frames (H, W, 3) of one sample of one clip; context (C, H, W, 3) are the frames shown.

        Raises ModelError where there is no video, or where it cannot be used.
        """
        if item in self.unusable:
            raise ModelError(self.unusable[item])
        if item not in self.probed:
            raise ModelError(self.listing.reason(item))
        rate = self.rate(item)
        resample = self.resampler_of(item)
        lead = self._found_lead(item, context, horizon, rate, resample)
        targets = [lead + (number + 1) / self.card.fps for number in range(horizon)]
        stream = frames(self.source, self.listing.entries[item], self.stated_rate(item))
        before: tuple[Frame, Frame] | None = None
        for picture in at_times(stream, targets, rate):
            if before is None or before[0] is not picture:
                before = picture, resample(picture)
            yield before[1]
        if before is None:
            raise ModelError(f"{label(item)}: the video ends before the hand-over.")

    def _found_lead(
        self, item: Key, context: NDArray[np.uint8], horizon: int, rate: float, resample: Resampler
    ) -> float:
        """Seconds from the first frame to time 0, looked for where nobody says."""
        if self.answer.includes_context != "auto":
            return self.lead(item)
        asked = self.answer.asked
        stream = frames(self.source, self.listing.entries[item], self.stated_rate(item))
        first = [resample(frame) for _, _, frame in islice(stream, 2)]
        if not first:
            raise ModelError(f"{label(item)}: the video holds no frames.")
        lead = (asked.context_frames - 1) / asked.fps
        spare = self.length(item) - horizon / self.card.fps
        second = first[1] if len(first) > 1 else None
        with_context = begins_with_context(first[0], second, context, spare, lead + 1 / rate)
        words = "begin" if with_context else "do not begin"
        note = f"Videos that {words} with the conditioning frames were found by looking (includes_context: auto)."
        if note not in self.notes:
            self.notes.append(note)
            self._seen[with_context] = self.listing.entries[item].name
            if len(self._seen) == 2:
                self.notes.append(
                    f"{self._seen[True]} seems to begin with the conditioning frames and {self._seen[False]} does not: "
                    f"each is scored as it looks, where all should be alike. Say `includes_context` in {ANSWER}."
                )
        return lead if with_context else -1 / rate
