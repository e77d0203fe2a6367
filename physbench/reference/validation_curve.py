"""The validation curve of a training: how near to the truth the pixels of held-out clips are, as it goes on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from physbench.reference.architecture import continued
from physbench.reference.training_loop import Episodes, generator

CURVE_FILE = "curve.csv"
SPANS = (0.25, 0.5, 1.0, 2.0)  # s from the hand-over
CLIPS = 28


class ValidationCurve:
    """Rolls a model out on held-out clips and writes a row of CURVE_FILE: steps, seconds and skill within each span.

    The skill is that of `appearance/persistence-skill`: (E_freeze - E) / (E_freeze + E), E the root mean square error
    of all pixels, 0 of a frozen last frame, 1 of ground truth, and moves from the first steps on.
    """

    def __init__(self, model: Any, episodes: Episodes, folder: Path) -> None:
        self.model, self.path = model, folder / CURVE_FILE
        self.context = model.card.context_frames
        self.counts = [max(1, round(span * model.card.fps)) for span in SPANS]
        chosen = torch.linspace(0, len(episodes) - 1, min(CLIPS, len(episodes))).long().tolist()
        length = self.context + self.counts[-1]
        self.videos = torch.stack([episodes.frames(index)[:length] for index in chosen])

    @torch.no_grad()
    def skills(self) -> list[float]:
        """The skill within each of SPANS, mean over clips in which something moves within it."""
        net = self.model.net
        training = net.training
        net.eval()
        context = self.videos[:, : self.context].to(self.model.device).float() / 255
        generators = [generator("validation", index) for index in range(len(context))]
        frames = continued(self.model, context, self.counts[-1], None, generators).float()
        truth = self.videos[:, self.context :].to(frames.device).float() / 255
        own = (frames - truth).square().mean((2, 3, 4))
        frozen = (context[:, -1:] - truth).square().mean((2, 3, 4))
        net.train(training)
        found = []
        for count in self.counts:
            mine, still = own[:, :count].mean(1).sqrt(), frozen[:, :count].mean(1).sqrt()
            moved = still > 1e-5
            found.append(float(((still - mine) / (still + mine))[moved].mean()))
        return found

    def row(self, stage: str, step: int, seconds: float) -> str:
        """Add a row to the file, in place of later ones of a training that was interrupted. Returns it in words."""
        found = self.skills()
        rows = list(csv.reader(self.path.read_text().splitlines())) if self.path.exists() else []
        kept = [row for row in rows[1:] if row[0] != stage or int(row[1]) < step]
        with self.path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["stage", "step", "seconds", *(f"skill within {span:g} s" for span in SPANS)])
            writer.writerows(kept)
            writer.writerow([stage, step, round(seconds, 1), *(f"{each:.4f}" for each in found)])
        return "nearer than a frozen frame by " + ", ".join(
            f"{value:.2f} ({span:g} s)" for value, span in zip(found, SPANS, strict=True)
        )
