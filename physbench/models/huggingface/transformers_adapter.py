"""Video networks of transformers in local folders that are asked for their surprise: `transformers:DIR`.

V-JEPA 2 (predicts latents) and VideoMAE (fills in masked pixels). Imports neither torch nor transformers to look.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.models.adapter import Adapter, describe_missing_path, without_scheme
from physbench.models.huggingface.diffusers_folder import HASHED, check_component, read_json, weight_files
from physbench.models.huggingface.window_plan import WindowPlan, window_plan
from physbench.models.protocol import Model
from physbench.models.unrecognised import SURPRISED, model_type, refused_folder
from physbench.support.errors import ModelError
from physbench.support.files import add_file, user_path

if TYPE_CHECKING:
    import torch

TRANSFORMERS_PACKAGE = "transformers"
INSTALL_TRANSFORMERS = 'pip install "physbench[transformers]"'


class TransformersAdapter(Adapter):
    """A V-JEPA 2 or VideoMAE in the format of `save_pretrained`."""

    name = "transformers"

    @property
    def summary(self) -> str:
        missing = importlib.util.find_spec(TRANSFORMERS_PACKAGE) is None
        state = (
            f"needs {INSTALL_TRANSFORMERS}" if missing else f"{TRANSFORMERS_PACKAGE} {version(TRANSFORMERS_PACKAGE)}"
        )
        kinds = " or ".join(SURPRISED.values())
        return f"transformers:DIR  {kinds} in a local folder, on --suite expectation ({state})"

    def recognises(self, target: str) -> bool:
        return model_type(Path(target)) in SURPRISED

    def _folder(self, target: str) -> Path:
        return user_path(without_scheme(target, self.name))

    def check(self, target: str) -> None:
        path = self._folder(target)
        kind = model_type(path)
        if kind not in SURPRISED:
            raise ModelError(refused_folder(path) or _unknown(path, kind))
        if importlib.util.find_spec(TRANSFORMERS_PACKAGE) is None:
            raise ModelError(f"{target} needs {TRANSFORMERS_PACKAGE}: {INSTALL_TRANSFORMERS}")
        network_classes = {"vjepa2": "VJEPA2Model", "videomae": "VideoMAEForPreTraining"}
        check_component(path, network_classes[kind])
        architectures = read_json(path / "config.json").get("architectures") or []
        # a network that was saved without what foresees
        if (
            kind == "videomae"
            and isinstance(architectures, list)
            and any(str(name).endswith("ForVideoClassification") for name in architectures)
        ):
            raise ModelError(
                f"{path} is a VideoMAE that was tuned to name actions: its decoder, which foresees, is not in it."
            )

    def sha256(self, target: str) -> str | None:
        path = self._folder(target)
        digest = hashlib.sha256()
        weights = set(weight_files(path))
        files = sorted(path.iterdir()) if path.is_dir() else []
        for file in files:
            if file in weights or (file.is_file() and file.suffix in HASHED and file.suffix != ".safetensors"):
                digest.update(f"\n{file.name} {file.stat().st_size}\n".encode())
                add_file(digest, file)
        return digest.hexdigest()

    def describe(self, target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
        """Treatment of films, as (name, text), from the config; see `DescribedAdapter`."""
        plan = self._plan(target, model_args)
        height, width = plan.card.image_size
        return [
            ("network", SURPRISED[plan.kind]),
            ("pictures", f"{height} x {width} px, {plan.card.fps:g} frames/s"),
            ("windows", f"{plan.window} frames, of which the last {plan.hidden} must be foreseen"),
            ("surprise", plan.card.unit),
        ]

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        from physbench.models.huggingface.window_surprise import load_surprised

        return load_surprised(self._folder(target), self._plan(target, model_args), device, dtype)

    def _plan(self, target: str, model_args: Mapping[str, str]) -> WindowPlan:
        path = self._folder(target)
        config: dict[str, Any] = read_json(path / "config.json")
        return window_plan(path, config, model_args)


def _unknown(path: Path, kind: str | None) -> str:
    if not path.exists():
        return describe_missing_path(path)
    what = "has no config.json that says what it is" if kind is None else f"holds a {kind!a:.40}"
    return f"{path} {what}; transformers:DIR asks {' and '.join(SURPRISED.values())}."


adapter = TransformersAdapter()
