"""Models that are diffusers pipelines in local folders: `diffusers:DIR`, or a folder with the index of a pipeline."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.models.adapter import Adapter, without_scheme
from physbench.models.huggingface import diffusers_folder
from physbench.models.protocol import Model
from physbench.support.errors import ModelError
from physbench.support.files import user_path

if TYPE_CHECKING:
    import torch

    from physbench.models.huggingface.diffusers_plan import PipelinePlan

PACKAGES = ("diffusers", "transformers", "accelerate", "ftfy")  # Wan and SkyReels clean prompts with ftfy
INSTALL = 'pip install "physbench[diffusers]"'


def missing_packages(folder: diffusers_folder.PipelineFolder | None = None) -> list[str]:
    """Packages of the extra that are not installed, of those that every pipeline needs, or one folder."""
    needed = list(PACKAGES)
    if folder is not None and (
        folder.config("transformer").get("concat_padding_mask")  # networks of Cosmos resize that mask with it
        or any(class_name == "Qwen3VLProcessor" for _, class_name in folder.components.values())
    ):
        needed.append("torchvision")
    return [name for name in needed if importlib.util.find_spec(name) is None]


def installed_versions() -> str:
    """ "diffusers 0.42.1, transformers 5.23.0": versions of what decides the frames."""
    versions = []
    for name in (*PACKAGES, diffusers_folder.GUARDRAIL_PACKAGE):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(versions)


class DiffusersAdapter(Adapter):
    """A pipeline that continues images or videos, in the format of `save_pretrained`."""

    name = "diffusers"

    @property
    def summary(self) -> str:
        missing = missing_packages()
        state = f"needs {INSTALL}" if missing else installed_versions()
        return f"diffusers:DIR  a video pipeline in a local folder ({state})"

    def recognises(self, target: str) -> bool:
        return diffusers_folder.is_pipeline(Path(target))

    def _folder(self, target: str) -> diffusers_folder.PipelineFolder:
        return diffusers_folder.read_folder(user_path(without_scheme(target, self.name)))

    def check(self, target: str) -> None:
        folder = self._folder(target)
        diffusers_folder.refuse_class(folder.class_name, folder.path)
        if missing := missing_packages(folder):
            *others, last = missing
            named = f"{', '.join(others)} and {last}" if others else last
            raise ModelError(f"{target} needs {named}: {INSTALL}")
        diffusers_folder.check_folder(folder)

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        if model_args:  # else nothing is imported
            self._plan(target, model_args)

    def sha256(self, target: str) -> str | None:
        return diffusers_folder.folder_sha256(self._folder(target))

    def describe(self, target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
        """Treatment of clips, as (name, text), from the configs; see `DescribedAdapter`."""
        from physbench.models.huggingface.diffusers_load import describe_plan
        from physbench.models.huggingface.diffusers_surprise import denoising_plan, describe_denoising

        plan = self._plan(target, model_args)
        denoising = describe_denoising(denoising_plan(plan)) if "surprise" in plan.settings else []
        return describe_plan(plan) + denoising

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        from physbench.models.huggingface.diffusers_load import load_pipeline, run_settings
        from physbench.models.huggingface.diffusers_pipeline import DiffusersModel
        from physbench.models.huggingface.diffusers_surprise import DenoisingSurprise, denoising_plan

        plan = self._plan(target, model_args)
        denoising = denoising_plan(plan) if "surprise" in plan.settings else None
        pipe = load_pipeline(plan, device, dtype)
        settings = run_settings(plan, pipe, device, dtype, installed_versions())
        return (
            DiffusersModel(plan, pipe, settings) if denoising is None else DenoisingSurprise(denoising, pipe, settings)
        )

    def _plan(self, target: str, model_args: Mapping[str, str]) -> PipelinePlan:
        from physbench.models.huggingface.diffusers_load import forbid_network
        from physbench.models.huggingface.diffusers_plan import make_plan

        forbid_network()
        return make_plan(self._folder(target), model_args)


adapter = DiffusersAdapter()
