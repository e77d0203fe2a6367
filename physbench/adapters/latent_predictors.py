"""Recognises networks that predict no frames (I-JEPA, V-JEPA, DINO-WM): what they are, and which way in they have."""

from __future__ import annotations

import json
from pathlib import Path

PLANNED = (
    "It predicts latents, in which no object can be followed. How surprised it is by impossible events can be read: "
    "give it a `surprise` and a SurpriseCard in a Python file, and run that on `--suite expectation`."
)
NO_PREDICTOR = (
    "In the format of transformers it is an encoder without a predictor: it expects nothing, so that nothing can "
    "surprise it."
)
SURPRISED = {"vjepa2": "V-JEPA 2", "videomae": "VideoMAE"}  # `model_type` of what `transformers:DIR` can ask
OTHERS = {"ijepa": ("I-JEPA", NO_PREDICTOR), "vjepa": ("V-JEPA", PLANNED)}
MOST_CONFIG_BYTES = 1 << 20
JEPA_PARTS = {"encoder", "predictor", "target_encoder"}  # keys of Meta's checkpoints (jepa, vjepa2, ijepa)
DINO_WM_MODULES = ("models.vit.ViTPredictor", "models.dino.DinoV2Encoder", "models.visual_world_model.")


def model_type(path: Path) -> str | None:
    """What the config.json of a folder of transformers says that it is; None without one."""
    try:
        with (path / "config.json").open("rb") as file:
            config = json.loads(file.read(MOST_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("model_type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


def refused_folder(path: Path) -> str | None:
    """Why the folder of a predictor of latents is not asked, in a line; None: another model."""
    name, reason = OTHERS.get(model_type(path) or "", ("", ""))
    return f"{path} is a checkpoint of {name}. {reason}" if name else None


def latent_predictor_pickle(names: set[str], texts: set[str]) -> str | None:
    """Name of the predictor of latents in a pickle; None: another model.

    Args:
        names: What the pickle would import, see `pickle_scan.imported_globals`.
        texts: The texts in it, see `pickle_scan.pickled_texts`.
    """
    if any(name.startswith(DINO_WM_MODULES) for name in names):
        return "DINO-WM"
    return "I-JEPA or V-JEPA" if texts >= JEPA_PARTS else None


def describe_latent_predictor(path: Path, name: str) -> str:
    """The message that refuses one: one line."""
    return f"{path} is a checkpoint of {name}. {PLANNED}"
