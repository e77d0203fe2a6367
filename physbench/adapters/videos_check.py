"""Checks every video of an answer by decoding it to its end, for `physbench models check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from physbench.adapters.videos_decode import UnusableError, decode_frames
from physbench.adapters.videos_listing import VideoListing
from physbench.adapters.videos_model import RecordedVideos
from physbench.adapters.videos_source import VideoSource
from physbench.clips.conditioning import Answer


def inspect_videos(
    source: VideoSource, answer: Answer, listing: VideoListing, folders: Sequence[Path] = ()
) -> Iterator[tuple[str, str]]:
    """Decode every video and report what was found; `folders` may hold the conditioning images.

    Yields:
        (kind, text), where kind is "missing", "unusable", "short", "extra", "note" or "result". "result" sums up, and
        comes only where some video cannot be scored to its end.

    Raises:
        ModelError: It is open whether the videos begin with the one conditioning image. This comes last.
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
    """What is wrong with the frames of one video, or None. All of them are decoded."""
    count = 0
    try:
        for _ in decode_frames(source, model.listing.entries[key], model.infos[key]):
            count += 1
    except UnusableError as error:
        return str(error)
    if count < model.infos[key].frames:
        return f"{model.listing.entries[key].name}: {count} of {model.infos[key].frames} frames can be decoded."
    return None
