"""Everything that is wrong with the videos of a folder: each one decoded to its end."""

from __future__ import annotations

from collections.abc import Iterator

from physbench.adapters.videos_decode import UnusableError, frames
from physbench.adapters.videos_listing import Listing
from physbench.adapters.videos_model import Videos
from physbench.adapters.videos_source import Source
from physbench.clips.conditioning import Answer


def inspect(source: Source, answer: Answer, listing: Listing) -> Iterator[tuple[str, str]]:
    """("missing" | "unusable" | "short" | "extra" | "note" | "result", words) for all that there is to say.

    "result" is what it comes to, where not every video can be scored to its end.
    """
    model = Videos(source, answer, listing)
    samples = 1 + max((sample for _, sample in listing.entries), default=0)
    short = model.short()
    lost = ended = 0
    for clip in answer.asked.clips:
        for key in ((clip.id, sample) for sample in range(samples)):
            if key not in listing.entries:
                lost += 1
                yield "missing", listing.reason(key)
                continue
            problem = model.unusable.get(key) or _damage(source, model, key)
            if problem:
                lost += 1
                yield "unusable", problem
            elif key in short:
                ended += 1
                yield "short", short[key]
    for name, why in listing.extra.items():
        yield "extra", f"{name} ({why})"
    yield "note", model.notes[0] if model.probed else "No video can be read."
    whole = len(answer.asked.clips) * samples
    said = [
        f"{lost} of {whole} videos cannot be scored" if lost else "",
        f"{ended} of {whole} end early" if ended else "",
    ]
    if any(said):
        yield "result", ", ".join(part for part in said if part)


def _damage(source: Source, model: Videos, key: tuple[str, int]) -> str | None:
    """What is wrong with the frames of one video, found by decoding all of them."""
    count = 0
    try:
        for _ in frames(source, model.listing.entries[key], model.stated_rate(key)):
            count += 1
    except UnusableError as error:
        return str(error)
    if count < model.probed[key].frames:
        return f"{model.listing.entries[key].name}: {count} of {model.probed[key].frames} frames can be decoded."
    return None
