"""Measure and draw the figures of the methodology page.

python docs/figures/methodology.py            measure everything (some minutes) and draw it
python docs/figures/methodology.py chain      measure this part again and draw
python docs/figures/methodology.py draw       draw methodology.json again

Seeds are fixed; clips are those of the `test` split from FIRST_SEED on, which no suite holds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from methodology_draw import draw
from motion_masks import motion_masks, overlaps

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.rollout.store import Rollout
from physbench.score.motion import error_curve
from physbench.score.predictability import first_time_beyond, spread
from physbench.score.score_clip import find_scorers, score_clip
from physbench.shadowing import shadow
from physbench.track.tracker import track
from physbench.validity.sources import show
from physbench.validity.violations import Inapplicable
from physbench.world.scene import RenderSpec

HERE = Path(__file__).parent
STORE = HERE / "methodology.json"
FIRST_SEED = 7000
SPEC = RenderSpec(128, 128, 30.0)
PLACES = 4  # behind the point, in the file

COMPARED = ("falling/projectile-v1", "falling/drop-bounce-v1")
EACH = 12  # clips of a task
SOURCES = ("truth", "stranger-far", "gravity:0.9")


def main() -> None:
    """Measure what is asked for and draw."""
    parts = {
        "horizon": horizon,
        "permanence": permanence,
        "chain": chain,
        "compared": compared,
    }
    asked = sys.argv[1:] or list(parts)
    document = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    document |= {"made_with": "python docs/figures/methodology.py", "first_seed": FIRST_SEED, "spec": str(SPEC)}
    for name in asked:
        if name != "draw":
            document[name] = rounded(parts[name]())
            STORE.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    draw(document, HERE.parent / "images" / "methodology")


def compared() -> dict[str, object]:
    """Three continuations of one image, by distance to the recorded future, by motion masks and by shadowing.

    One context frame: no speed is known, so that a far lawful alternative needs no jump, and every source is read
    alike.
    """
    rows: list[dict[str, object]] = []
    for task in COMPARED:
        for clip in clips(task, EACH, SPEC):
            try:
                frames = {source: show(clip, 1, source).frames for source in SOURCES}
            except Inapplicable as reason:
                raise SystemExit(f"{clip.id}: {reason}") from reason
            start = clip.frames[clip.handover][None]
            masks = {source: motion_masks(np.concatenate([start, shown])) for source, shown in frames.items()}
            for source, shown in frames.items():
                tracks = track(clip, 1, np.concatenate([start, shown]))
                found = shadow(clip, tracks)
                assert found is not None
                error = error_curve(clip, tracks)
                rows.append(
                    {
                        "clip": clip.id,
                        "source": source,
                        "distance": float(np.median(error[~np.isnan(error)])),
                        **overlaps(masks["truth"], masks[source]),
                        "strength": found.strength,
                        "quality": found.quality,
                    }
                )
            print(clip.id, flush=True)
    return {"context": 1, "rows": rows}


def chain() -> dict[str, object]:
    """One clip with gravity x 0.8: its track, its lawful segments and its breaks at each tolerance."""
    (clip,) = clips(COMPARED[0], 1, SPEC)
    tracks = track(clip, 8, np.concatenate([clip.context(8), show(clip, 8, "gravity:0.8").frames]))
    found = shadow(clip, tracks)
    assert found is not None
    seen = found.problem.seen
    levels = []
    for level in found.levels:
        levels.append(
            {
                "tolerance": level.tolerance,
                "height": level.segments.position[:, 0, 1],
                "off": level.segments.errors[:, 0],
                "weight": level.weight[:, 0],
                "breaks": [each.time for each in level.breaks],
                "explained": level.explained,
                "shadowed": level.shadowed,
            }
        )
    return {
        "clip": clip.id,
        "times": tracks.times,
        "height": seen.position[:, 0, 1],
        "due": seen.expected_visible[:, 0],
        "tolerances": levels,
    }


def permanence() -> dict[str, object]:
    """What is due, seen and intact behind a screen, for ground truth and two violations."""
    (clip,) = clips("occlusion/screen-pass-v1", 1, SPEC)
    window = clip.window(8)
    found = []
    for source in ("truth", "return-late:0.4", "return-never:1"):
        frames = show(clip, 8, source).frames
        rows, observation = score_clip(clip, Rollout(clip.id, 0, frames), 8, find_scorers("permanence/intact"))
        assert observation is not None
        values = {row.reading.partition(".")[2] or "quality": row.value for row in rows}
        found.append({"source": source, "area": observation.tracks.area[:, 0], **values})
    whole = clip.full_area[window][:, clip.tracked[0]]
    return {
        "clip": clip.id,
        "times": clip.times[window],
        "share": clip.visible_share()[window][:, 0],
        "whole": whole,
        "sources": found,
    }


def horizon() -> list[dict[str, object]]:
    """How 32 simulations from what a context allows part, with the time up to which accuracy is asked."""
    found = []
    for task, context in (("collisions/billiards-v1", 8), ("orbits/kepler-v1", 8), ("falling/projectile-v1", 1)):
        (clip,) = clips(task, 1, SPEC)
        width = spread(clip, context)  # (T, K) diameters
        found.append(
            {
                "clip": clip.id,
                "context": context,
                "times": clip.times[clip.handover + 1 :][: len(width)],
                "spread": np.nanmax(width, axis=1),
                "seconds": first_time_beyond(clip, context, width),
            }
        )
    return found


def clips(task: str, many: int, spec: RenderSpec) -> Iterator[Clip]:
    """Fresh clips of a task, made here and kept nowhere."""
    for number in range(many):
        yield make_clip(Row(task, "test", FIRST_SEED + number), spec)


def rounded(value: object) -> object:
    """Plain JSON: arrays as lists, numbers to PLACES places, null for what is not finite."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return [rounded(each) for each in value.tolist()]
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    if isinstance(value, float | np.floating):
        return round(float(value), PLACES) if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
