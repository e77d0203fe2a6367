"""Tiny random pipelines of diffusers, saved in the real format: random weights, tokenizers of a few words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tiny_cosmos import AllowAll, cosmos1, cosmos2, cosmos3, cosmos3_actions, cosmos25
from tiny_image_to_video import cogvideox_i2v, hunyuan15_i2v, hunyuan_i2v, svd
from tiny_ltx import ltx2_condition, ltx2_i2v, ltx_condition, ltx_i2v
from tiny_modular import (
    modular_cosmos3,
    modular_echo,
    modular_hunyuan15,
    modular_ltx,
    modular_ltx2,
    modular_minimax_h3,
    modular_wan22_i2v,
    modular_wan_i2v,
)
from tiny_parts import SIZE
from tiny_wan import skyreels_df, skyreels_df_i2v, skyreels_i2v, wan_i2v, wan_vace

MAKERS: dict[str, Callable[..., Any]] = {
    maker.__name__: maker
    for maker in (
        cosmos1,
        cosmos2,
        cosmos25,
        cosmos3,
        hunyuan_i2v,
        hunyuan15_i2v,
        wan_i2v,
        wan_vace,
        skyreels_df,
        skyreels_df_i2v,
        skyreels_i2v,
        ltx_condition,
        ltx_i2v,
        ltx2_condition,
        ltx2_i2v,
        cogvideox_i2v,
        svd,
        modular_cosmos3,
        modular_echo,
        modular_hunyuan15,
        modular_ltx,
        modular_ltx2,
        modular_minimax_h3,
        modular_wan22_i2v,
        modular_wan_i2v,
    )
}


TAKES_ACTIONS = {"cosmos3_actions": cosmos3_actions}


def save_tiny(name: str, folder: Path) -> Path:
    """Make the pipeline of one maker with fixed random weights and save it as diffusers does."""
    torch.manual_seed(0)
    pipe = {**MAKERS, **TAKES_ACTIONS}[name]()
    pipe.set_progress_bar_config(disable=True)
    if isinstance(getattr(pipe, "safety_checker", None), AllowAll):
        pipe.register_modules(safety_checker=None)
    modular = {"overwrite_modular_index": True} if name.startswith("modular_") else {}
    pipe.save_pretrained(str(folder), safe_serialization=True, **modular)
    return folder


LTX2_ARGS = {"max_frames": "25", "max_sequence_length": "16", "stg_scale": "0", "audio_stg_scale": "0"}
# --model-arg with which each runs in tests.
TINY_ARGS: dict[str, dict[str, str]] = {
    "cosmos1": {"guardrail": "dummy", "max_frames": "25"},
    "cosmos2": {"guardrail": "dummy", "max_frames": "25"},
    "cosmos25": {"guardrail": "dummy", "max_frames": "25"},
    "skyreels_df": {"pipeline": "SkyReelsV2DiffusionForcingVideoToVideoPipeline", "context_frames": "5"},
    "cosmos3": {"guardrail": "dummy", "max_frames": "25"},
    "cosmos3_actions": {
        "guardrail": "dummy",
        "max_frames": "25",
        "actions": "action",
        "action_domain": "pusht",
        "action_tier": "256",
    },
    "ltx2_condition": LTX2_ARGS,
    "ltx2_i2v": {**LTX2_ARGS, "image_crf": "0"},
    "svd": {},
    "modular_cosmos3": {"guardrail": "dummy", "max_frames": "25"},
    "modular_echo": {"max_frames": "25", "max_sequence_length": "16"},
    "modular_minimax_h3": {"max_frames": "124", "num_inference_steps": "2"},  # of which one is the end
    "modular_ltx2": {"max_frames": "25", "max_sequence_length": "16"},
    "cogvideox_i2v": {},
    "wan_vace": {"max_frames": "25", "context_frames": "5"},
}


OWN_SIZE = ("hunyuan15_i2v",)  # take no size
OWN_STEPS = ("modular_echo",)  # take no number of steps


class TinyPipelines:
    """Saves and loads each tiny pipeline once in a session."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded: dict[str, Any] = {}

    def folder(self, name: str) -> Path:
        """The saved pipeline."""
        folder = self.root / name
        return folder if folder.exists() else save_tiny(name, folder)

    def arguments(self, name: str, **changed: str) -> dict[str, str]:
        """--model-arg for a quick rollout."""
        side = {} if name in OWN_SIZE else {"width": f"{SIZE}", "height": f"{SIZE}"}
        steps = {} if name in OWN_STEPS else {"num_inference_steps": "1"}
        usual = {**side, **steps}
        return {**usual, **TINY_ARGS.get(name, {"max_frames": "25"}), **changed}

    def model(self, name: str, **changed: str) -> Any:
        """The model as the harness loads it; without changed arguments it is loaded once."""
        from physbench.models.load_model import load_model

        if changed or name not in self.loaded:
            arguments = self.arguments(name, **changed)
            target = f"diffusers:{self.folder(name)}"
            model = load_model(target, device=torch.device("cpu"), dtype=torch.float32, model_args=arguments)
            if changed:
                return model
            self.loaded[name] = model
        return self.loaded[name]


def edit_json(path: Path, **changed: Any) -> None:
    """Change keys of a JSON file."""
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changed}))
