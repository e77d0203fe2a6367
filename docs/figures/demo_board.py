"""Draws docs/demo/board.html, the board of docs/leaderboard.md: five entries whose figures are made up.

python docs/figures/demo_board.py
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from physbench.clips.suite import find_suite
from physbench.leaderboard.entry import add
from physbench.leaderboard.site import build
from physbench.leaderboard.submission import Submission
from physbench.scoring.scorer_protocol import AXES
from physbench.storage.atomic_write import write_json
from physbench.storage.run_folder import RunFolder

TARGET = Path(__file__).parent.parent / "demo" / "board.html"
HEADLINES = dict(zip(AXES, ("consistency/shadowing", "permanence/intact", "drift/accuracy"), strict=True))
DIFFICULTY, OWN = 0.15, 0.12  # spread of qualities over clips: for all models alike, and of each


@dataclass(frozen=True)
class MadeUp:
    """An entry: its mean quality on each axis, of clips of ordinary parameters, and what it loses outside of them."""

    name: str
    track: str
    levels: tuple[float, float, float]
    lost: float
    submitter: str = ""
    parameters: int | None = None
    target: str = "my_model.py:make"


ENTRIES = (
    MadeUp("made-up large", "zero-shot", (0.61, 0.72, 0.48), 0.05, "A. Author", 1_300_000_000),
    MadeUp("made-up small", "zero-shot", (0.57, 0.70, 0.47), 0.07, "A. Author", 350_000_000),
    MadeUp("made-up blurry", "zero-shot", (0.31, 0.44, 0.29), 0.02, "B. Author", 90_000_000),
    MadeUp("made-up dreamer", "trained", (0.78, 0.81, 0.70), 0.21, "C. Author", 12_000_000),
    MadeUp("made-up baseline", "zero-shot", (0.24, 0.12, 0.22), 0.0, target="baseline:made-up"),
)


def scores(levels: tuple[float, float, float], lost: float, seed: int) -> pd.DataFrame:
    """Headline rows of core around the levels of the axes."""
    rows = find_suite("core").rows
    hard = np.random.default_rng(0).normal(0, DIFFICULTY, (len(rows), len(AXES)))
    own = np.random.default_rng(seed).normal(0, OWN, hard.shape)
    mean = np.array(levels) - lost * np.array([row.split == "ood" for row in rows])[:, None]
    quality = np.clip(mean + (hard + own) * ((mean > 0) & (mean < 1)), 0, 1)
    return pd.DataFrame(
        [
            {"clip": row.id, "task": row.task, "split": row.split, "seed": row.seed, "sample": 0, "axis": axis}
            | {"reading": HEADLINES[axis], "value": q, "unit": "1", "quality": q, "status": "ok", "reason": ""}
            for row, values in zip(rows, quality, strict=True)
            for axis, q in zip(AXES, values, strict=True)
        ]
    )


def explained() -> pd.DataFrame:
    """That ground truth is lawful, without which no board ranks anything."""
    table = scores((1.0, 1.0, 1.0), 0.0, 0)
    own = table[table["axis"] == "consistency"].assign(axis=None, quality=np.nan)
    first = own.assign(reading="consistency/shadowing.first-break", value=4.0)
    return pd.concat([own.assign(reading="consistency/shadowing.explained"), first])


def made_run(folder: RunFolder, entry: MadeUp, seed: int) -> RunFolder:
    """A finished run of core with these figures."""
    suite = find_suite("core")
    truth = scores((1.0, 1.0, 1.0), 0.0, 0)
    tables = {
        "truth": pd.concat([truth, explained()]),
        "freeze": scores((0.0, 0.0, 0.0), 0.0, 0),
        "constant-velocity": scores((0.2, 0.1, 0.2), 0.0, 9),
        "model": scores(entry.levels, entry.lost, seed),
    }
    for source, table in tables.items():
        place = folder if source == "model" else folder.reference(source)
        place.path.mkdir(parents=True, exist_ok=True)
        table.to_parquet(place.scores)
    card = {"name": entry.name, "image_size": [128, 128], "fps": 16.0, "context_frames": 8, "track": entry.track}
    document = {
        "schema_version": 1,
        "suite": {"name": suite.name, "version": suite.version, "hash": suite.hash, "local": False}
        | {"rows": [{"task": row.task, "split": row.split, "seed": row.seed} for row in suite.rows]},
        "model": {"target": entry.target, "name": entry.name, "sha256": None, "card": card, "args": {}},
        "options": {"samples": 1, "tasks": None, "limit": None},
        "context": 8,
        "started": "2026-01-01T00:00:00+00:00",
        "device": "made up",
        "speed": {"model_frames_per_s": 40.0 * seed},
    }
    write_json(folder.manifest, document)
    return folder


def main() -> None:
    """Add the entries to a board of their own, and keep its page, without the reports."""
    with tempfile.TemporaryDirectory() as place:
        board = Path(place) / "board"
        for seed, entry in enumerate(ENTRIES, 1):
            run = made_run(RunFolder(Path(place) / str(seed)), entry, seed)
            said = Submission(entry.submitter, parameters=entry.parameters)
            with patch("physbench.leaderboard.entry.write_report"):  # which would draw clips that no model has seen
                add(run, board, submission=said)
        page = build(board).read_text(encoding="utf-8")
    page = re.sub(r'<a href="entries/[^"]*">report</a>', "report", page)  # neither reports nor downloads are kept
    page = re.sub(r'<p class="small">Download:.*?</p>\n', "", page)
    page = page.replace("</header>", '<p class="limits">All figures on this page are made up.</p>\n</header>', 1)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(page, encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
