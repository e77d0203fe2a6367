"""Draws what reference models of pictures make of two clips, beside the truth.

docs/images/kinds.png shows each of them in tasks that it was trained on, transfer.png the best two in others.

python docs/figures/kinds.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.models.load_model import load_model
from physbench.reference.architecture import continued
from physbench.rollout.predict import make_generators

KINDS = ("token-ar", "rssm", "simple", "diffusion", "video-dit", "vae-mdn-rnn", "vae-mdn-rnn-spatial", "jepa-frames")
FIGURES = {
    "kinds": (KINDS, (Row("falling/drop-bounce-v1", "test", 1), Row("occlusion/screen-pass-v1", "test", 0))),
    "transfer": (("objects", "token-ar"), (Row("falling/spring-v1", "test", 0), Row("falling/roll-off-v1", "test", 0))),
}
MOMENTS = (0.2, 0.6, 1.0, 1.6, 2.4, 3.2)  # s from the hand-over
IMAGES = Path(__file__).parents[1] / "images"


def answer(name: str, clip: Clip) -> np.ndarray:
    """Frames (T, 64, 64, 3) of a reference model after the context of a clip."""
    model = load_model(f"reference:{name}", device=torch.device("cpu"), dtype=torch.float32, model_args={})
    context = torch.from_numpy(clip.context(model.card.context_frames).copy()).permute(0, 3, 1, 2)[None].float() / 255
    generators = make_generators([0], torch.device("cpu"))
    frames = continued(model, context, clip.horizon, None, generators)
    return (frames[0].permute(0, 2, 3, 1) * 255).round().byte().numpy()


def draw(out: Path, models: Sequence[str], shown: Sequence[Row]) -> None:
    """Draw the truth and an answer of each model, a line each, for two clips side by side."""
    clips = [make_clip(row, render_spec(64, 15)) for row in shown]
    rows = [
        ("truth", [clip.future() for clip in clips]),
        *((name, [answer(name, clip) for clip in clips]) for name in models),
    ]
    shape = len(rows), len(clips) * len(MOMENTS) + 1
    size = 11, 0.4 + 0.8 * len(rows)  # inches
    figure, axes = plt.subplots(*shape, figsize=size, width_ratios=[*[1] * len(MOMENTS), 0.15, *[1] * len(MOMENTS)])
    for line, (name, videos) in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
        for part, video in enumerate(videos):
            for column, moment in enumerate(MOMENTS):
                axis = line[part * (len(MOMENTS) + 1) + column]
                axis.imshow(video[round(moment * 15) - 1], interpolation="nearest")
                if name == "truth":
                    axis.set_title(f"{moment:g} s", fontsize=8)
        line[0].text(-6, 32, name, ha="right", va="center", fontsize=9)
    figure.subplots_adjust(left=0.15, right=0.995, top=1 - 0.3 / size[1], bottom=0.005, wspace=0.04, hspace=0.05)
    figure.savefig(out, dpi=110, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    for name, (models, shown) in FIGURES.items():
        draw(IMAGES / f"{name}.png", models, shown)
