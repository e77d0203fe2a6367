"""Read rollouts of trained models beside truth, lawful alternatives and violations: what tolerances were chosen by.

python docs/figures/tolerances.py --runs "60 steps=RUN" "1300 steps=RUN"     measure (a quarter of an hour) and draw
python docs/figures/tolerances.py                                            draw tolerances.json again

RUN is a folder that `physbench eval MODEL --suite core --limit 224` wrote, with tracks of 8 test clips of each
task. The other sources are shown on the same clips, at the same size and rate; those that decide something on all test
clips of their families.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.shadowing import TOLERANCES, Shadowing, shadow
from physbench.shadowing.levels import handover_break
from physbench.support.run_folder import RunFolder
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, load_tracks
from physbench.validity.sources import WAIVED, show
from physbench.validity.violations import Inapplicable
from physbench.world.scene import RenderSpec

HERE = Path(__file__).parent
STORE = HERE / "tolerances.json"
WRONG = ("gravity:0.9", "gravity:0.8", "central-mass:0.9", "central-mass:0.8")
SOURCES = ("truth", "stranger-near", WAIVED, "freeze", *WRONG)
DECIDING = ("truth", "freeze", *WRONG)  # on every test clip of
DECIDED = ("falling", "orbits")
FAMILIES = ("collisions", "falling", "occlusion", "orbits")
SPEC, CONTEXT = RenderSpec(64, 64, 15.0), 8  # of the reference model
AT = (0.0, 0.5, 1.0)  # s behind the first predicted frame at which the distance from ground truth is told


def read(row: Row, runs: dict[str, str], clips: int) -> list[dict[str, Any]]:
    """Every source on one clip. Those that decide nothing, and runs, are read on the first `clips` of a task."""
    clip = ClipStore().get(row, SPEC)
    found = []
    for name in (*SOURCES, *runs) if row.seed < clips else DECIDING:
        tracks, unseen = (tracks_of_run(clip, runs[name]), False) if name in runs else tracks_of(clip, name)
        shadowing = None if tracks is None else shadow(clip, tracks)
        if tracks is not None and shadowing is not None:
            found.append({"clip": row.id, "source": name, "unseen": unseen, **said(clip, tracks, shadowing)})
    return found


def tracks_of_run(clip: Clip, run: str) -> Tracks | None:
    """Tracks of the rollout in a run folder, or None where it holds none."""
    path = RunFolder(Path(run)).tracks(clip.id, 0)
    return load_tracks(path) if path.is_file() else None


def tracks_of(clip: Clip, source: str) -> tuple[Tracks | None, bool]:
    """Tracks of a source, or None where it has nothing to do, and whether nobody would see what it does."""
    try:
        shown = show(clip, CONTEXT, source)
    except Inapplicable:
        return None, True
    context = shown.context or CONTEXT
    return track(clip, context, np.concatenate([clip.context(context), shown.frames])), bool(shown.unseen)


def said(clip: Clip, tracks: Tracks, shadowing: Shadowing) -> dict[str, Any]:
    """What the plots and the table need: by level, and by clip."""
    bodies = range(len(shadowing.problem.seen.diameter))
    return {
        "explained": [rounded(level.explained) for level in shadowing.levels],
        "shadowed": [rounded(level.shadowed) for level in shadowing.levels],
        "breaks": [len(level.breaks) for level in shadowing.levels],
        "first": [rounded(min((b.time for b in level.breaks), default=math.nan)) for level in shadowing.levels],
        "join": [sum(handover_break(level.segments, n) is not None for n in bodies) for level in shadowing.levels],
        "bodies": len(bodies),
        "strength": rounded(shadowing.strength),
        "jitter": rounded(shadowing.jitter),
        "offset": rounded(shadowing.offset),
        "off": [rounded(each) for each in off(clip, tracks)],
    }


def off(clip: Clip, tracks: Tracks) -> list[float]:
    """Distance from ground truth in diameters AT times, median over the moving objects that both show; NaN for none.

    One frame behind the hand-over hardly anything can have gone wrong but the drawing.
    """
    moving = [k for k, body in enumerate(clip.tracked_bodies) if body.role == "moving"]
    window = clip.window(tracks.context)
    away = np.linalg.norm((tracks.position - clip.px_positions()[window])[:, moving], axis=-1)
    away = away / clip.pixels_per_metre / np.maximum(clip.diameters()[window][:, moving], 1e-9)
    frames = [away[tracks.context + round(time * clip.spec.fps)] for time in AT]
    return [float(np.median(each[np.isfinite(each)])) if np.isfinite(each).any() else math.nan for each in frames]


def rounded(value: float) -> float | None:
    """To five places; null for NaN."""
    return None if math.isnan(value) else round(value, 5)


def measure(runs: dict[str, str], clips: int, workers: int) -> dict[str, Any]:
    """Read the test clips of core."""
    rows = [row for row in find_suite("core").rows if row.split == "test"]
    rows = [row for row in rows if row.seed < clips or row.task.split("/")[0] in DECIDED]
    with get_context("forkserver").Pool(workers) as pool:
        parts = pool.map(partial(read, runs=runs, clips=clips), rows, chunksize=1)
    return {"tolerances": TOLERANCES, "runs": list(runs), "rows": [row for part in parts for row in part]}


def choose(document: dict[str, Any], source: str, within: str) -> list[dict[str, Any]]:
    """Rows of a source whose clips belong to a family or a task."""
    return [r for r in document["rows"] if r["source"] == source and r["clip"].startswith(f"{within}.")]


def quality(rows: Sequence[dict[str, Any]]) -> list[float]:
    """Consistency quality of each clip: mean of E and S over the levels."""
    return [float(np.mean([*row["explained"], *row["shadowed"]])) for row in rows]


def skills(document: dict[str, Any], source: str, tasks: Iterable[str], seen: bool = False) -> dict[str, float]:
    """Consistency skill of a source by task, freeze is 0 and truth 1 on the same clips. seen: where it can be seen."""
    found = {}
    for task in tasks:
        own = [row for row in choose(document, source, task) if not (seen and row["unseen"])]
        clips = {row["clip"] for row in own}
        truth, freeze = (
            [row for row in choose(document, name, task) if row["clip"] in clips] for name in ("truth", "freeze")
        )
        if not own or not freeze:
            continue
        high, low = np.mean(quality(truth)), np.mean(quality(freeze))
        if high - low >= 0.25:  # else the task says nothing
            found[task] = float((np.mean(quality(own)) - low) / (high - low))
    return found


def table(document: dict[str, Any]) -> str:
    """What the page says in figures, in Markdown: by family and source, means and medians over clips."""
    lines = [
        "| family | source | clips | E | S | broken | at the hand-over | strength | jitter | off at first |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for family in FAMILIES:
        for source in (*SOURCES, *document["runs"]):
            rows = choose(document, source, family)
            if not rows:
                continue
            low, mid, high = np.quantile([r["strength"] for r in rows], [0.1, 0.5, 0.9])
            lines.append(
                f"| {family} | {source} | {len(rows)} | {by_level(rows, 'explained')} | {by_level(rows, 'shadowed')} "
                f"| {by_level(rows, 'breaks', some=True)} | {by_level(rows, 'join', some=True)} "
                f"| {mid:.3f} ({low:.3f}, {high:.3f}) | {middle(r['jitter'] for r in rows)} "
                f"| {middle(r['off'][0] for r in rows)} |"
            )
    return "\n".join([*lines, "", *wrong_worlds(document), "", *stages(document)])


def tasks_of(document: dict[str, Any]) -> list[str]:
    """Prefixes of the clips of each task."""
    return sorted({row["clip"].rsplit(".", 2)[0] for row in document["rows"]})


def wrong_worlds(document: dict[str, Any]) -> list[str]:
    """Lines in Markdown: what wrong constants cost, and how often they break, in all clips and where they are seen."""
    lines = ["| task | source | clips (seen) | skill | skill where seen | broken | broken where seen | strength |"]
    lines += ["| --- " * 8 + "|"]
    for source in WRONG:
        for within in (*tasks_of(document), *DECIDED):
            rows = choose(document, source, within)
            some = [row for row in rows if not row["unseen"]]
            if not some:
                continue
            tasks = [task for task in tasks_of(document) if task.startswith(within)]
            means = [np.mean(list(skills(document, source, tasks, seen).values())) for seen in (False, True)]
            low, mid, high = np.quantile([row["strength"] for row in some], [0, 0.5, 1])
            lines.append(
                f"| {within} | {source} | {len(rows)} ({len(some)}) | {means[0]:.2f} | {means[1]:.2f} "
                f"| {by_level(rows, 'breaks', some=True)} | {by_level(some, 'breaks', some=True)} "
                f"| {mid:.3f} ({low:.3f} to {high:.3f}) |"
            )
    return lines


def stages(document: dict[str, Any]) -> list[str]:
    """Lines in Markdown: by task, skill, broken joins and distance from ground truth after 1 s of each run."""
    runs = document["runs"]
    lines = [f"| task | skill, {', '.join(runs)} | off after 1 s | broken at the hand-over, at 0.03 | at 0.2 |"]
    lines += ["| --- " * 5 + "|"]
    columns = {run: skills(document, run, tasks_of(document)) for run in runs}
    for within in (*tasks_of(document), *FAMILIES, ""):
        rows = [choose(document, run, within) if within else [] for run in runs]
        if not within:
            rows = [[row for row in document["rows"] if row["source"] == run] for run in runs]
        own = [[skill for task, skill in columns[run].items() if task.startswith(within)] for run in runs]
        lines.append(
            f"| {within or 'all'} | {' / '.join(f'{np.mean(each):.2f}' if each else '-' for each in own)} "
            f"| {' / '.join(middle(r['off'][2] for r in each) for each in rows)} "
            f"| {' / '.join(joins(each, 0) for each in rows)} | {' / '.join(joins(each, 2) for each in rows)} |"
        )
    return lines


def by_level(rows: Sequence[dict[str, Any]], what: str, *, some: bool = False) -> str:
    """Means over clips at each level, or the shares of clips in which there is `some`."""
    values = np.array([row[what] for row in rows], dtype=float)
    return " / ".join(f"{each:.2f}" for each in (values > 0 if some else values).mean(axis=0))


def joins(rows: Sequence[dict[str, Any]], level: int) -> str:
    """In how many clips some body breaks within 0.2 s of the hand-over."""
    return f"{sum(row['join'][level] > 0 for row in rows)} of {len(rows)}"


def middle(values: Iterable[float | None]) -> str:
    """Median of those that there are."""
    there = [value for value in values if value is not None]
    return f"{np.median(there):.4f}" if there else ""


def main() -> None:
    from tolerances_draw import draw

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", metavar="NAME=RUN", default=[])
    parser.add_argument("--clips", type=int, default=8, help="of each task, of runs and of what decides nothing")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    asked = parser.parse_args()
    if asked.runs:
        document = measure(dict(each.split("=", 1) for each in asked.runs), asked.clips, asked.workers)
        STORE.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    document = json.loads(STORE.read_text(encoding="utf-8"))
    draw(document, HERE / "tolerances.svg")
    print(table(document))


if __name__ == "__main__":
    main()
