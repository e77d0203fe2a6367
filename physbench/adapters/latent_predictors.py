"""Recognises predictors of latents (I-JEPA, V-JEPA, DINO-WM), which are refused: nothing here reads latents."""

from __future__ import annotations

import json
from pathlib import Path

PLANNED = (
    "It predicts latents, in which no object can be followed. How surprised it is by impossible events can be read: "
    "give it a `surprise` and a SurpriseCard in a Python file, and run that on `--suite expectation`."
)
TRANSFORMERS = {"ijepa": "I-JEPA", "vjepa": "V-JEPA", "vjepa2": "V-JEPA 2"}  # `model_type` in config.json
MOST_CONFIG_BYTES = 1 << 20
JEPA_PARTS = {"encoder", "predictor", "target_encoder"}  # keys of Meta's checkpoints (jepa, vjepa2, ijepa)
DINO_WM_MODULES = ("models.vit.ViTPredictor", "models.dino.DinoV2Encoder", "models.visual_world_model.")


def latent_predictor_folder(path: Path) -> str | None:
    """Name of the predictor of latents in a folder of transformers, from its config.json; None: another model."""
    try:
        with (path / "config.json").open("rb") as file:
            config = json.loads(file.read(MOST_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("model_type") if isinstance(config, dict) else None
    return TRANSFORMERS.get(kind) if isinstance(kind, str) else None


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
