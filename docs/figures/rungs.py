"""Read rollouts of trained models beside truth, strangers and violations: what tolerances were chosen by.

python docs/figures/rungs.py --runs "60 steps=RUN" "1300 steps=RUN"     measure (an hour of one core) and draw
python docs/figures/rungs.py                                            draw rungs.json again

RUN is a folder that `physbench eval` wrote; its clips are read as far as it holds their tracks. The other sources are
shown on the same clips, at the same size and rate.
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from methodology_draw import AMBER, BLUE, GREEN, GREY, INK, RED, STYLE

from physbench.checks.validity.sources import show
from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.results.folder import RunFolder, load_tracks
from physbench.scoring.shadowing import RUNGS, shadow
from physbench.tracks.tracker import track
from physbench.world.scene import RenderSpec
from physbench.world.violations import Inapplicable

HERE = Path(__file__).parent
STORE = HERE / "rungs.json"
SOURCES = ("truth", "stranger-near", "stranger-far", "freeze", "gravity:0.9", "gravity:0.8", "central-mass:0.9")
FAMILIES = ("collisions", "falling", "occlusion", "orbits")
SPEC, CONTEXT = RenderSpec(64, 64, 15.0), 8  # of the reference model


def read(row: Row, runs: dict[str, str]) -> list[dict[str, Any]]:
    """Every source on one clip: explained share and shadowing time at each rung, strength, jitter, offset."""
    clip = ClipStore().get(row, SPEC)
    found = []
    for name in (*SOURCES, *runs):
        if name in runs:
            path = RunFolder(Path(runs[name])).tracks(row.id, 0)
            if not path.is_file():
                continue
            tracks = load_tracks(path)
        else:
            try:
                frames = show(clip, CONTEXT, name).frames
            except Inapplicable:
                continue
            tracks = track(clip, CONTEXT, np.concatenate([clip.context(CONTEXT), frames]))
        shadowing = shadow(clip, tracks)
        if shadowing is None:
            return []
        breaks = shadowing.rungs[0].breaks
        found.append(
            {
                "clip": row.id,
                "source": name,
                "explained": [round(rung.explained, 4) for rung in shadowing.rungs],
                "shadowed": [round(rung.shadowed, 4) for rung in shadowing.rungs],
                "breaks": [len(rung.breaks) for rung in shadowing.rungs],
                "first": round(min(b.time for b in breaks), 3) if breaks else None,
                "strength": round(shadowing.strength, 4),
                "jitter": None if math.isnan(shadowing.jitter) else round(shadowing.jitter, 5),
                "offset": None if math.isnan(shadowing.offset) else round(shadowing.offset, 5),
            }
        )
    return found


def measure(runs: dict[str, str], clips: int) -> dict[str, Any]:
    """Read the first `clips` test clips of each task of core."""
    from physbench.clips.suite import find_suite

    rows = [row for row in find_suite("core").rows if row.split == "test" and row.seed < clips]
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(partial(read, runs=runs), rows))
    return {"rungs": RUNGS, "runs": list(runs), "rows": [row for part in parts for row in part]}


def draw(document: dict[str, Any]) -> None:
    """Shares of clips without a break against the tolerance, by family."""
    runs = document["runs"]
    shades = {"truth": INK, "stranger-far": GREEN, "gravity:0.9": AMBER, "central-mass:0.9": AMBER, "freeze": GREY}
    models = dict(zip(runs, plt.cm.Blues(np.linspace(0.4, 0.95, len(runs))) if len(runs) > 1 else [BLUE], strict=True))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(FAMILIES), figsize=(9.6, 2.7), sharey=True, layout="constrained")
        for axis, family in zip(axes, FAMILIES, strict=True):
            for source in (*shades, *runs):
                strengths = [
                    row["strength"]
                    for row in document["rows"]
                    if row["source"] == source and row["clip"].startswith(family)
                ]
                if not strengths or (source == "central-mass:0.9" and family != "orbits"):
                    continue
                at = np.sort(strengths)
                share = np.arange(1, len(at) + 1) / len(at)
                line = "-" if source in runs else "--"
                axis.step(
                    [0.008, *at, 2.2], [0, *share, share[-1]], line, where="post", lw=1.4, label=source,
                    color=models.get(source, shades.get(source, RED)),
                )  # fmt: skip
            for rung in document["rungs"]:
                axis.axvline(rung, color=RED, lw=0.6, ls=":")
            axis.set(xscale="log", xlim=(0.008, 2.2), ylim=(0, 1.02), title=family)
            axis.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
            axis.set_xlabel("tolerance, diameters")
        axes[0].set_ylabel("share of clips without a break")
        lines, labels = axes[-1].get_legend_handles_labels()
        more, names = axes[1].get_legend_handles_labels()
        known = dict(zip(names + labels, more + lines, strict=True))
        figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=len(known), frameon=False)
        figure.savefig(HERE / "rungs.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def table(document: dict[str, Any]) -> str:
    """What the page says in figures, in Markdown: by family and source, means and medians over clips."""
    lines = [
        "| family | source | clips | E at 0.03 / 0.08 / 0.2 | S | quality | strength, median (10 %, 90 %) | jitter |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for family in FAMILIES:
        for source in (*SOURCES, *document["runs"]):
            rows = [r for r in document["rows"] if r["source"] == source and r["clip"].startswith(family)]
            if not rows:
                continue
            explained = np.mean([r["explained"] for r in rows], axis=0)
            shadowed = np.mean([r["shadowed"] for r in rows], axis=0)
            low, mid, high = np.quantile([r["strength"] for r in rows], [0.1, 0.5, 0.9])
            jitter = [r["jitter"] for r in rows if r["jitter"] is not None]
            lines.append(
                f"| {family} | {source} | {len(rows)} | {' / '.join(f'{e:.2f}' for e in explained)} "
                f"| {' / '.join(f'{s:.2f}' for s in shadowed)} | {(explained.mean() + shadowed.mean()) / 2:.2f} "
                f"| {mid:.3f} ({low:.3f}, {high:.3f}) | {np.median(jitter) if jitter else float('nan'):.4f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", metavar="NAME=RUN", default=[])
    parser.add_argument("--clips", type=int, default=4, help="of each task")
    asked = parser.parse_args()
    if asked.runs:
        document = measure(dict(each.split("=", 1) for each in asked.runs), asked.clips)
        STORE.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    document = json.loads(STORE.read_text(encoding="utf-8"))
    draw(document)
    print(table(document))


if __name__ == "__main__":
    main()
