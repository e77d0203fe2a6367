"""What styles of a picture cost on lawful physics, and whether violations are still found under them.

    python benchmarks/style_cost.py [--clips 2] [--tasks GLOB] [--styles GLOB,..] [--size 128] [--fps 15] [--context 8]
                                    [--look plain] [--violations NAME,..] [--styled-context] [--kept FILE]

True clips of `core` are scored as a model would be that predicts the truth in a style: codecs, blur, brightness and
others of `tests/picture_styles.py`. Context frames are those of the clip, as in a run; with
--styled-context they are in the style, too. Printed is by how much each axis and overall lie below the unstyled truth,
as skill (0 is a frozen last frame), then the tasks that lose most. The aim is .03 on each axis, from 128 px on.

With --violations the same is done with violated worlds (`physbench scorers check` names them): then the AUROC of each
axis for each of them against true clips under the same style is printed, too.

--kept keeps the qualities of each video, a line each, and goes on from there; they hold for one state of the sources.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.result.skill import clip_qualities, kinds, skills, task_means
from physbench.result.task_roles import kinds_of
from physbench.rollout.store import Rollout
from physbench.score.protocol import AXES
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.arrays import Image
from physbench.validity.sources import find_sources, show
from physbench.validity.table import auroc
from physbench.validity.violations import Inapplicable
from physbench.world.scene import PLAIN, RenderSpec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # helpers that tests share
from picture_styles import STYLES, styled

UNSTYLED = "plain"
AIM = 0.03  # of skill on an axis
WORST = 5  # tasks that are named


def qualities(clip: Clip, source: str, style: str, context: int, styled_context: bool) -> Iterator[dict[str, object]]:
    """Rows of the headline readings of one video."""
    frames = show(clip, context, source).frames
    begin = time.process_time()
    if style != UNSTYLED:
        seed = zlib.crc32(f"{clip.id} {style}".encode())
        if styled_context:
            frames = styled(np.concatenate([clip.context(context), frames]), style, clip.spec.fps, seed)
            clip = _with_context(clip, frames[:context])
            frames = frames[context:]
        else:
            frames = styled(frames, style, clip.spec.fps, seed)
        begin = time.process_time()
    rows = headline_rows(clip, frames, context)
    seconds = time.process_time() - begin
    for row in rows:
        yield {"source": source, "style": style, "seconds": seconds, **row}


def headline_rows(clip: Clip, frames: Image, context: int) -> list[dict[str, object]]:
    """Headline readings of a continuation (T, H, W, 3) of a clip."""
    headlines = [scorer for scorer in find_scorers() if scorer.headline]
    rows, _ = score_clip(clip, Rollout(clip.id, 0, frames), context, headlines)
    about = {"clip": clip.id, "task": clip.row.task, "split": clip.row.split, "seed": clip.row.seed}
    return [
        {**about, "axis": row.axis, "reading": row.reading, "quality": row.quality}
        for row in rows
        if row.axis is not None
    ]


def kept_rows(path: str | None) -> list[dict[str, Any]]:
    """Rows of a file of an earlier call, a line each; none where there is no file."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()] if path and Path(path).exists() else []


def keep(path: str | None, rows: Sequence[Mapping[str, object]]) -> None:
    """Add rows to the file, if one is given."""
    if path:
        with Path(path).open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def _with_context(clip: Clip, context: np.ndarray) -> Clip:
    """The clip with other context frames."""
    frames = clip.frames.copy()
    frames[clip.handover + 1 - len(context) : clip.handover + 1] = context
    return replace(clip, frames=frames)


def measured(options: argparse.Namespace) -> pd.DataFrame:
    """Qualities of all videos, those that are kept included."""
    rows = kept_rows(options.kept)
    known = {(row["clip"], row["source"], row["style"]) for row in rows}
    spec, store = _spec(options), ClipStore()
    names = sorted({row.task for row in find_suite("core").rows})
    styles = [name for name in STYLES if any(fnmatch.fnmatchcase(name, part) for part in options.styles.split(","))]
    if not styles:
        sys.exit(f"No style is like '{options.styles}'. There are {', '.join(STYLES)}.")
    videos = [("truth", UNSTYLED), ("freeze", UNSTYLED), *(("truth", style) for style in styles)]
    sources = find_sources(options.violations) if options.violations else ()
    videos += [(source, style) for source in sources for style in (UNSTYLED, *styles)]
    for seed in range(options.first, options.first + options.clips):
        for task in fnmatch.filter(names, f"*{options.tasks}*"):
            clip = None
            for source, style in videos:
                row = Row(task, "test", seed)
                if (row.id, source, style) in known:
                    continue
                clip = clip or store.get(row, spec)
                try:
                    found = list(qualities(clip, source, style, options.context, options.styled_context))
                except Inapplicable:
                    continue
                rows += found
                keep(options.kept, found)
    table = pd.DataFrame(rows)
    table = table[table["task"].isin(fnmatch.filter(names, f"*{options.tasks}*"))]
    return table[table["style"].isin([UNSTYLED, *styles]) & table["source"].isin(["truth", "freeze", *sources])]


def _spec(options: argparse.Namespace) -> RenderSpec:
    return RenderSpec(options.size, options.size, options.fps, options.look)


def costs(table: pd.DataFrame, options: argparse.Namespace) -> None:
    """Print what each style costs on each axis."""
    truth, freeze = (table[(table["source"] == name) & (table["style"] == UNSTYLED)] for name in ("truth", "freeze"))
    fixed = kinds_of(max(find_suite("core").version, 2), _spec(options), options.context)
    which = kinds(clip_qualities({"model": truth}, truth, freeze, events=False), fixed)
    print(
        f"{'style':14}" + "".join(f"{axis:>13}" for axis in AXES) + f"{'overall':>9}{'cpu s':>7}  tasks that lose most"
    )
    for style in dict.fromkeys(table["style"]):
        mine = table[(table["source"] == "truth") & (table["style"] == style)]
        best, still = (reference[reference["clip"].isin(mine["clip"])] for reference in (truth, freeze))
        lined = clip_qualities({"model": mine}, best, still, events=False)
        found = skills(task_means(lined.means(), lined.counts()), which, 0, slice(1, 3))
        lost = 1 - found.axis
        pairs = mine.merge(truth, on=["clip", "task", "axis", "reading"], suffixes=("", "_truth"))
        pairs["lost"] = pairs["quality_truth"] - pairs["quality"]
        worst = pairs.groupby(["axis", "task"])["lost"].mean().sort_values(ascending=False)
        worst = worst[worst > 0.005].head(options.worst)
        words = ", ".join(f"{axis[:4]} {task.split('/')[1]} {value:.2f}" for (axis, task), value in worst.items())
        mark = " *" if max(*lost, 1 - found.overall) > AIM else "  "
        seconds = mine.drop_duplicates("clip")["seconds"].mean()
        print(
            f"{style:14}" + "".join(f"{v:13.3f}" for v in lost) + f"{1 - found.overall:9.3f}{seconds:7.2f}{mark}{words}"
        )


def separations(table: pd.DataFrame) -> None:
    """Print how well violations are told from true clips under the same style."""
    sources = [name for name in dict.fromkeys(table["source"]) if name not in ("truth", "freeze")]
    if not sources:
        return
    print(f"\nAUROC (all families pooled), {' / '.join(axis[:4] for axis in AXES)}")
    for style in dict.fromkeys(table["style"]):
        words = []
        for source in sources:
            each = []
            for axis in AXES:
                mine = table[(table["style"] == style) & (table["axis"] == axis)]
                clips = set(mine.loc[mine["source"] == source, "clip"])
                lawful = mine[
                    (mine["source"] == "truth") & mine["task"].isin(mine.loc[mine["clip"].isin(clips), "task"])
                ]
                wrong = mine[mine["source"] == source]
                each.append(auroc(-_by_clip(wrong), -_by_clip(lawful)))
            words.append(f"{source} " + "/".join(f"{value:.2f}" for value in each))
        print(f"{style:14}" + "  ".join(words))


def _by_clip(table: pd.DataFrame) -> np.ndarray:
    return table.dropna(subset=["quality"]).groupby("clip")["quality"].mean().to_numpy(dtype=np.float64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="of each task")
    parser.add_argument("--first", type=int, default=0, help="seed of the first clip")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--styles", default="*", help="names or globs, separated by commas")
    parser.add_argument("--violations", default="", help="names or globs, separated by commas")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8, help="frames")
    parser.add_argument("--look", default=PLAIN, help="plain or natural")
    parser.add_argument("--styled-context", action="store_true", help="context frames in the style, too")
    parser.add_argument("--kept", help="file of qualities to go on from")
    parser.add_argument("--worst", type=int, default=WORST, help="tasks that are named")
    options = parser.parse_args()
    table = measured(options)
    costs(table, options)
    separations(table)


if __name__ == "__main__":
    main()
