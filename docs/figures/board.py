"""Writes the board's picture, docs/images/board.svg, and its table in README.md, from the entries of the board.

python docs/figures/board.py [BOARD]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from physbench.leaderboard.entries import entries
from physbench.leaderboard.site import BoardRow, ranked_entries
from physbench.result.bootstrap import RESAMPLES
from physbench.result.formats import bracket, fixed

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "board.svg"
BEGIN, END = "<!-- the board: written by docs/figures/board.py -->\n", "<!-- end of the board -->\n"
KINDS = {
    "objects": "learned interactions of given discs",
    "token-ar": "transformer on discrete tokens (GAIA-1, Cosmos)",
    "simple": "convolutions with a memory (SimVP, ConvLSTM)",
    "rssm": "recurrent state space model (Dreamer)",
    "vae-mdn-rnn": "VAE and mixture-density LSTM (World Models)",
    "vae-mdn-rnn-spatial": "`vae-mdn-rnn` on a grid of latents",
    "jepa-frames": "joint embedding, decoder apart (V-JEPA 2)",
    "diffusion": "next-frame diffusion (DIAMOND)",
    "video-dit": "diffusion transformer of a window (PhyWorld)",
    "memory": "the nearest of 6,000 training clips",
    "constant-velocity": "straight on",
    "physicist": "simulates on by the true laws",
    "oracle": "the true future",
}
COLOURS = {"trained": "#1f57b0", "zero-shot": "#1f57b0", "comparison": "#a8630a"}
FAMILY_MARKS = {"collisions": "o", "falling": "v", "occlusion": "s", "orbits": "D"}


def rows_of(board: Path) -> list[BoardRow]:
    """The entries by overall skill, best first, untrained copies left out: they have a place on the page."""
    rows = [row for table in ranked_entries(entries(board), RESAMPLES).values() for row in table]
    kept = [row for row in rows if not row.result.model.target.startswith("untrained:")]
    return sorted(kept, key=lambda row: -(row.result.overall.skill or 0.0))


def readme_table(rows: list[BoardRow]) -> str:
    """The table of README.md, without the families, which the picture shows."""
    lines = ["| rank | model | kind | overall | physical, s |", "|" + " --- |" * 5]
    for row in rows:
        result, lawful = row.result, row.result.lawful
        seconds = "–" if lawful is None or lawful.seconds is None else f"{lawful.seconds:.1f}"
        overall = f"{fixed(result.overall.skill)} {bracket(result.overall.interval)}"
        name = f"`{result.model.name}`"
        kind = KINDS.get(result.model.name, "")
        lines.append(f"| {' | '.join([str(row.rank or ''), name, kind, overall, seconds])} |")
    return "\n".join(lines) + "\n"


def draw(rows: list[BoardRow], path: Path) -> None:
    """Overall skill with its interval, and the part of each family."""
    plt.rcParams.update({"svg.hashsalt": "physbench", "font.size": 10, "svg.fonttype": "path"})
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(rows) + 1.1))
    for place, row in enumerate(reversed(rows)):
        result = row.result
        track = "comparison" if row.rank is None else result.model.track
        for family, mark in FAMILY_MARKS.items():
            skill = result.by_family[family].skill if family in result.by_family else None
            if skill is not None:
                axes.plot(skill, place, mark, color="#b9b9b2", ms=5, zorder=2, label=family if not place else None)
        low, high = result.overall.interval or (result.overall.skill,) * 2
        axes.plot([low, high], [place, place], color=COLOURS[track], lw=5, alpha=0.45, zorder=3)
        axes.plot(result.overall.skill, place, "|", color=COLOURS[track], ms=14, mew=2.5, zorder=4)
    names = [f"{row.result.model.name}  {row.rank or ''}".rstrip() for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), names)
    for tick, row in zip(axes.get_yticklabels(), reversed(rows), strict=True):
        tick.set_color(COLOURS["comparison" if row.rank is None else row.result.model.track])
    for at in (0, 1):
        axes.axvline(at, color="#d9d9d2", lw=1, zorder=1)
    axes.set_xticks([-0.5, 0, 0.5, 1], ["−0.5", "0\nfrozen frame", "0.5", "1\nground truth"])
    axes.set_xlabel("overall skill, its 95 % interval, and the part of each family (grey)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(figure)


def with_table(text: str, table: str) -> str:
    """README.md with another table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(board: str = str(ROOT / "board")) -> None:
    rows = rows_of(Path(board))
    draw(rows, PICTURE)
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), readme_table(rows)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
