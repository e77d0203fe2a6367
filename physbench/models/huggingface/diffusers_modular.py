"""Modular pipelines of diffusers: a class puts its own blocks together, and components are loaded into them.

Blocks that a folder names and its class does not have are not run, nor is code that comes with a folder.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from physbench.models.huggingface.diffusers_folder import AGAIN, PipelineFolder, weight_files
from physbench.support.errors import ModelError

if TYPE_CHECKING:
    import torch

LOADED = "from_pretrained"  # of components that a folder holds


def is_modular(kind: type) -> bool:
    """True if a pipeline class is put together from blocks."""
    return kind.__name__.endswith("ModularPipeline")


def make_blocks(kind: type, folder: PipelineFolder) -> Any:
    """The blocks of a modular pipeline: those that its folder names, or those of another class. Raises ModelError.

    Checkpoints of one class may have blocks of their own, such as those of Wan 2.1 and 2.2. Only blocks of diffusers
    are taken.
    """
    import diffusers

    own = folder.options.get("_blocks_class_name") if kind.__name__ == folder.class_name else None
    name = own or getattr(kind, "default_blocks_name", None)
    blocks = getattr(diffusers, name, None) if isinstance(name, str) else None
    known = isinstance(blocks, type) and issubclass(blocks, diffusers.ModularPipelineBlocks)
    if blocks is None or not known or not getattr(blocks, "block_classes", ()):
        raise ModelError(
            f"{folder.path}: a {kind.__name__} put together from {name!a:.60}, which diffusers {diffusers.__version__} "
            "has not: only its own blocks are run."
        )
    return blocks()


def block_parameters(kind: type, folder: PipelineFolder) -> Mapping[str, inspect.Parameter]:
    """Inputs of a modular pipeline, by name, as parameters of a call."""
    return {
        entry.name: inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=entry.default,
            annotation=inspect.Parameter.empty if entry.type_hint is None else entry.type_hint,
        )
        for entry in make_blocks(kind, folder).inputs
        if entry.name
    }


def check_components(kind: type, folder: PipelineFolder, unused: tuple[str, ...] | None) -> None:
    """Refuse a modular pipeline of which components are elsewhere or missing.

    unused: Components that may be missing; None: those for which the index names no place may.

    Raises ModelError: with the remedy.
    """
    specs = make_blocks(kind, folder).expected_components
    expected = [spec.name for spec in specs if spec.default_creation_method == LOADED]
    missing = [name for name in expected if name not in folder.components and name not in (unused or ())]
    lacks = {name: folder.elsewhere[name] for name in missing if folder.elsewhere.get(name)}
    listed = 3  # components that an error names
    if lacks:
        shown = ", ".join(f"'{name}' from {place!a}" for name, place in list(lacks.items())[:listed])
        more = f" and {len(lacks) - listed} more" if len(lacks) > listed else ""
        raise ModelError(
            f"{folder.path} would load {shown}{more}. Nothing is taken from the network: all has to be in the folder.\n"
            "Download it whole, or: pipe = ModularPipeline.from_pretrained(REPO); pipe.load_components(); "
            "pipe.save_pretrained(DIR)"
        )
    if missing and unused is not None:
        raise ModelError(
            f"{folder.path} lacks {', '.join(missing)}, without which a {kind.__name__} cannot run. {AGAIN}"
        )


def load_modular(
    kind: type,
    folder: PipelineFolder,
    types: torch.dtype | dict[str, Any],
    *,
    variant: str | None,
    device_map: str | None,
) -> Any:
    """Load the components of a folder into the blocks of its pipeline.

    Args:
        kind: Class of the pipeline.
        types: Type of all weights, or types by component, with "default".
        variant: Of the files of weights.
        device_map: As in `from_pretrained`.

    Raises:
        ValueError: A component cannot be loaded.
        ModelError: One with weights does not say its class.
    """
    blocks = make_blocks(kind, folder)
    place = str(folder.path)
    sources = {  # of checked components alone: classes that the index names are imported
        name: [*pair, {"pretrained_model_name_or_path": place, "subfolder": name, "type_hint": pair}]
        for name, pair in folder.components.items()
    }
    pipe = kind(blocks=blocks, pretrained_model_name_or_path=place, modular_config_dict={**folder.options, **sources})
    loaded = {}
    for source in pipe._component_specs.values():  # with the classes that the folder names
        if source.default_creation_method != LOADED or source.name not in folder.components:
            continue
        library, class_name = folder.components[source.name]
        options: dict[str, Any] = {"trust_remote_code": False} if library == "transformers" else {}
        if weight_files(folder.path / source.name, variant):  # tokenizers have none
            if re.match("Auto[A-Z]", class_name):  # they would take any file of weights, in any type
                raise ModelError(f"{folder.index}: '{source.name}' is of {class_name}, which does not say its class.")
            options["dtype"] = types.get(source.name, types["default"]) if isinstance(types, dict) else types
            options["use_safetensors"] = True
            if device_map is not None:
                options["device_map"] = device_map
        loaded[source.name] = source.load(variant=variant, local_files_only=True, **options)
    pipe.update_components(**loaded)
    _hide_progress(pipe._blocks)
    return pipe


def _hide_progress(blocks: Any) -> None:
    """Turn progress bars off in all blocks: a pipeline passes that on to its outermost ones alone."""
    for block in getattr(blocks, "sub_blocks", {}).values():
        if hasattr(block, "set_progress_bar_config"):
            block.set_progress_bar_config(disable=True)
        _hide_progress(block)
