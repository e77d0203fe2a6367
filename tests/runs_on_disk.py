"""Runs that hold only what a list of runs reads, what a page says of them, and what a report shows of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd

from physbench.result.report.data import ReportData, clips_read, gather
from physbench.support.run_folder import RunFolder


class Texts(HTMLParser):
    """Names of all elements, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def unfinished(folder: Path, name: str, model: str = "mine", note: str = "") -> Path:
    """A run that has a manifest and nothing else."""
    place = folder / name
    place.mkdir(parents=True)
    rows = [{"task": "falling/projectile-v1", "split": "test", "seed": seed} for seed in range(3)]
    manifest = {
        "schema_version": 1,
        "options": {"samples": 1, "note": note},
        "model": {"name": model, "target": model},
        "suite": {"name": "smoke", "version": 2, "rows": rows},
    }
    (place / "manifest.json").write_text(json.dumps(manifest))
    return place


def gathered(
    folder: RunFolder,
    manifest: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    physicist: RunFolder | None = None,
) -> ReportData:
    """What the report shows of the clips of a run."""
    with clips_read(folder, manifest, tables, physicist) as clips:
        return gather(manifest, tables, clips)
