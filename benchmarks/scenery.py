"""Whether changes of fixed bodies and cameras are told from true clips, plain and under styles.

    python benchmarks/scenery.py [--clips 4] [--size 128] [--fps 15] [--context 8] [--styles plain,h264-28,..]
                                 [--changes GLOB,..] [--kept FILE]

Printed is, for each change and style, the AUROC of consistency, of permanence and of `drift/camera` against true clips
under the same style, of all tasks that show a fixed body, and the mean quality of both axes. Last comes what a style
alone does to the readings of fixed bodies in true clips. --kept keeps a line for each video, and goes on from there.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from physbench.clips.clip import Row
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.validity.table import auroc
from physbench.validity.violations import Inapplicable

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # helpers that tests share
from picture_styles import styled
from scenery_changes import SCENERY_CHANGES, fixed_body

TRUTH, PLAIN = "truth", "plain"
READINGS = {"consistency": "consistency/shadowing", "permanence": "permanence/intact", "camera": "drift/camera"}


def readings(clip, frames, context: int) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """The three readings of frames, and how often a fixed body is taken as lost."""
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS.values()]
    rows, seen = score_clip(clip, Rollout(clip.id, 0, frames), context, scorers)
    known = {row.reading: row.value for row in rows if row.value is not None}
    found = {name: known[id] for name, id in READINGS.items() if id in known}
    if "camera" in found:  # the largest of pan, zoom and turn, each at the border of the picture
        turn = np.radians(known["drift/camera.turn"]) * 50
        found["camera"] = max(found["camera"], known["drift/camera.zoom"] / 2, turn)
    if seen is not None and seen.tracks.scenery_lost is not None and seen.tracks.scenery_lost.size:
        found["lost"] = float(seen.tracks.scenery_lost.mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4, help="of each task")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8, help="frames")
    parser.add_argument("--styles", default="plain,h264-28,blur-1.5,bright-.6,grain-8")
    parser.add_argument("--changes", default="*")
    parser.add_argument("--kept", help="file of readings to go on from")
    options = parser.parse_args()
    changes = [
        name for name in SCENERY_CHANGES if any(fnmatch.fnmatchcase(name, g) for g in options.changes.split(","))
    ]
    path = Path(options.kept) if options.kept else None
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []
    done = {(row["clip"], row["size"], row["change"], row["style"]) for row in rows}
    spec, store = render_spec(options.size, options.fps), ClipStore()
    for seed in range(options.clips):
        for task in sorted({row.task for row in find_suite("core").rows}):
            clip = store.get(Row(task, "test", seed), spec)
            try:
                fixed_body(clip)
            except Inapplicable:
                continue
            for change in (TRUTH, *changes):
                wanted = [s for s in options.styles.split(",") if (clip.id, options.size, change, s) not in done]
                if not wanted:
                    continue
                try:
                    frames = clip.future() if change == TRUTH else SCENERY_CHANGES[change](clip)
                except Inapplicable:
                    continue
                for style in wanted:
                    seed_of = zlib.crc32(f"{clip.id} {style}".encode())
                    seen = frames if style == PLAIN else styled(frames, style, spec.fps, seed_of)
                    row = {"clip": clip.id, "size": options.size, "change": change, "style": style}
                    rows.append(row | readings(clip, seen, options.context))
                    if path:
                        with path.open("a") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    table = pd.DataFrame(rows)
    report(table[table["size"] == options.size], options.styles.split(","))


def report(table: pd.DataFrame, styles: list[str]) -> None:
    """Print the table."""
    print(f"{'change':9}{'clips':>6}  " + "".join(f"{style:>22}" for style in styles) + "   consistency/permanence")
    for change in dict.fromkeys(table["change"]):
        mine = table[table["change"] == change]
        cells = []
        for style in styles:
            wrong = mine[mine["style"] == style]
            lawful = table[
                (table["change"] == TRUTH) & (table["style"] == style) & table["clip"].isin(set(wrong["clip"]))
            ]
            if change == TRUTH:
                cells.append(f"lost {wrong['lost'].mean():.3f}")
                continue
            parts = [
                auroc(sign * wrong[name].dropna().to_numpy(), sign * lawful[name].dropna().to_numpy())
                for name, sign in (("consistency", -1), ("permanence", -1), ("camera", 1))
            ]
            cells.append(" / ".join(f"{value:.2f}" for value in parts))
        means = f"{mine['consistency'].mean():8.2f}{mine['permanence'].mean():6.2f}"
        print(f"{change:9}{mine['clip'].nunique():6d}  " + "".join(f"{cell:>22}" for cell in cells) + means)


if __name__ == "__main__":
    main()
