"""The card of a trained model in Markdown: what it is, what it was trained on, how near it came, and a picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import StateCard
from physbench.reference.validation_curve import CURVE_FILE

MOST_ROWS = 8  # of the validation curve


def training_card(
    name: str, summary: str, card: ModelCard, numbers: int, training: Mapping[str, Any], folder: Path, picture: str
) -> str:
    """The card as Markdown.

    Args:
        name: Of the architecture.
        summary: What it is, in a line.
        card: What the harness knows of it.
        numbers: Of its weights.
        training: Settings, device and seconds, as its checkpoint holds them.
        folder: In which CURVE_FILE lies, if there is one.
        picture: Name of the file with samples.
    """
    seconds = training.get("seconds", {})
    spent = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items()) or "not measured"
    reach = f"{card.max_horizon} frames at a time" if card.max_horizon else "any horizon"
    if isinstance(card, StateCard):
        shown = f"states ({card.columns}), {card.fps:g} a second, {card.context_frames} of context"
    else:
        size = f"{card.image_size[1]} x {card.image_size[0]} px"
        shown = f"{size}, {card.fps:g} frames/s, {card.context_frames} context frames"
    asked = f"{training['minutes']:g} minutes" if training.get("minutes") else f"{training.get('steps')} steps"
    listed = f" (list {training['clips_hash'][:12]})" if training.get("clips_hash") else ""
    lines = [
        f"# `{name}`",
        "",
        f"{summary[:1].upper()}{summary[1:]}. {numbers:,} numbers; {shown}, {reach}.",
        "",
        "| | |",
        "| --- | --- |",
        f"| data | {training['clips']} clips of the `train` split{listed}, one in ten held out |",
        f"| asked for | {asked}, size {training.get('size', 'S')} |",
        f"| device | {training['device']} |",
        f"| time | {spent} |",
        f"| seed | {training['seed']} |",
        f"| versions | physbench {training['physbench']}, torch {training['torch']} |",
        "",
        f"![Truth above what the model makes of it, ten moments of held-out clips]({picture})",
        "",
    ]
    rows = _curve(folder / CURVE_FILE)
    if rows:
        head, *values = rows
        chosen = [values[round(k * (len(values) - 1) / (MOST_ROWS - 1))] for k in range(MOST_ROWS)]
        kept = list({row[1]: row for row in chosen}.values())
        lines += [
            "Nearness of pixels to the truth on held-out clips: 0 as a frozen frame, 1 the truth.",
            "",
            "| " + " | ".join(head[1:]) + " |",
            "|" + " --- |" * len(head[1:]),
            *("| " + " | ".join(row[1:]) + " |" for row in kept),
            "",
        ]
    return "\n".join(lines)


def _curve(path: Path) -> Sequence[list[str]]:
    """Rows of a validation curve, its head first; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return rows if len(rows) > 1 else []
