"""The folder of a diffusers pipeline, and what signatures of its classes do not say.

model_index.json                                   {"_class_name": ..., "vae": ["diffusers", "AutoencoderKLWan"], ...}
vae/config.json
vae/diffusion_pytorch_model.safetensors            or several, with an index
scheduler/scheduler_config.json, tokenizer/...     no weights

A modular pipeline has modular_model_index.json in its place: {"_class_name": ..., "_blocks_class_name": ...,
"vae": ["diffusers", "AutoencoderKLWan", {"pretrained_model_name_or_path": ..., "subfolder": "vae", ...}], ...}
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from physbench.models.adapter import describe_missing_path
from physbench.models.protocol import CARD_BOUNDS
from physbench.models.safetensors_files import read_header
from physbench.support.errors import ModelError
from physbench.support.files import add_file
from physbench.support.printable import printable

if TYPE_CHECKING:
    import torch

# What the signature of a diffusers pipeline does not say: a table of classes, and classes that are refused.
#
# This module imports neither torch nor diffusers. Sizes and rates are those of the published checkpoints.

Condition = Literal["image", "video", "conditions", "mask"]


def no_arguments(context: int, frames: int) -> dict[str, Any]:
    return {}


def _latent_context_of_cosmos(context: int, frames: int) -> dict[str, Any]:
    """Cosmos 2.5 keeps the last 1 or 5 frames, which it counts in latent frames of 1 and 4 frames."""
    return {"num_latent_conditional_frames": 1 if context == 1 else 2}


def _clean_latents_of_cosmos3(context: int, frames: int) -> dict[str, Any]:
    """Cosmos 3 counts the frames that it keeps in latent frames of 1 and 4 frames, and keeps the first by default."""
    return {"condition_frame_indexes_vision": tuple(range((context - 1) // 4 + 1)), "condition_video_keep": "last"}


def _overlap_of_skyreels(context: int, frames: int) -> dict[str, Any]:
    """SkyReels V2 needs the length of its prefix; one window, as the harness continues longer clips itself."""
    return {"overlap_history": context, "base_num_frames": frames}


@dataclass(frozen=True)
class Quirk:
    """Call of one pipeline class.

    Attributes:
        condition: Parameter that takes the context: one image, a video, LTX conditions, or a video with a mask.
        fps: Rate of the clips in frames/s.
        size: (height, width) in px that the checkpoints were trained at.
        multiple: Sides are multiples of this, in px.
        frames: Frames of one call, context included; None: from the checkpoint or the signature.
        context: Context frames, of the form ratio * k + 1.
        most_context: Context frames, at most; None: any number.
        ratio: Frames per latent frame where the autoencoder's config does not say it.
        fps_argument: Value for the parameter `fps` or `frame_rate`; None: the rate of the clips.
        lengths: (step, first): a call makes step * k + first frames; None: ratio * k + 1.
        fewest: Frames that a call makes at least.
        fixed_length: True if every call makes `frames`, as other lengths change the motion or fail.
        arguments: Further arguments, from the numbers of context frames and of requested frames.
        context_twice: True if the answer begins with the context as given and, after it, as decoded again.
        own_size: True if the call takes no size: it is the one of the checkpoint's list that is nearest to the image's.
        unused: Components of a modular pipeline that continuing frames does not take.
        note: A sentence for the reader of a run.
    """

    condition: Condition
    fps: float
    size: tuple[int, int]
    multiple: int
    frames: int | None = None
    context: int = 1
    most_context: int | None = None
    ratio: int = 4
    fps_argument: float | None = None
    lengths: tuple[int, int] | None = None
    fewest: int = 1
    fixed_length: bool = False
    arguments: Callable[[int, int], dict[str, Any]] = no_arguments
    context_twice: bool = False
    own_size: bool = False
    unused: tuple[str, ...] = ()
    note: str = ""


STANDARD: Mapping[str, Quirk] = {
    "CosmosVideoToWorldPipeline": Quirk("video", 30, (704, 1280), 16, 121, context=9, ratio=8),
    "Cosmos2VideoToWorldPipeline": Quirk(
        "video",
        16,
        (704, 1280),
        16,
        93,
        context=5,
        fps_argument=24,
        note="The argument fps is 24, at which positions in time are not stretched; the pipeline's default is 16.",
    ),
    "Cosmos2_5_PredictBasePipeline": Quirk(
        "video", 16, (704, 1280), 16, 93, context=5, most_context=5, arguments=_latent_context_of_cosmos
    ),
    "Cosmos3OmniPipeline": Quirk(
        "video",
        24,
        (720, 1280),
        16,
        189,
        context=5,
        arguments=_clean_latents_of_cosmos3,
        note="Sentences on size and length are added to the prompt (add_resolution_template, add_duration_template).",
    ),
    "LTX2ConditionPipeline": Quirk("conditions", 24, (512, 768), 32, 121, context=9, ratio=8),
    "LTX2ImageToVideoPipeline": Quirk(
        "image",
        24,
        (512, 768),
        32,
        121,
        ratio=8,
        note="The image is compressed with H.264 first, as in training (image_crf; 0: not).",
    ),
    "LTXConditionPipeline": Quirk("conditions", 25, (512, 704), 32, 161, context=9, ratio=8),
    "LTXImageToVideoPipeline": Quirk("image", 25, (512, 704), 32, 161, ratio=8),
    "WanImageToVideoPipeline": Quirk("image", 16, (480, 832), 16, 81),
    "WanVACEPipeline": Quirk("mask", 16, (480, 832), 16, 81, context=17),
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": Quirk(
        "video",
        24,
        (544, 960),
        16,
        97,
        context=17,
        arguments=_overlap_of_skyreels,
        context_twice=True,
    ),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": Quirk("image", 24, (544, 960), 16, 97),
    "SkyReelsV2ImageToVideoPipeline": Quirk("image", 24, (544, 960), 16, 97),
    "CogVideoXImageToVideoPipeline": Quirk("image", 8, (480, 720), 8, 49, fixed_length=True),
    "HunyuanVideoImageToVideoPipeline": Quirk("image", 24, (720, 1280), 16, 129),
    "HunyuanVideo15ImageToVideoPipeline": Quirk(
        "image",
        24,
        (480, 848),
        16,
        121,
        own_size=True,
        note="Guidance is that of the checkpoint (guider/guider_config.json); the call takes none.",
    ),
    "StableVideoDiffusionPipeline": Quirk(
        "image",
        8,
        (576, 1024),
        8,
        ratio=1,
        fixed_length=True,
        note="Noise of 0.02 is added to the image (noise_aug_strength).",
    ),
}
# Put together from blocks: as the standard class of the same checkpoints, where there is one.
MODULAR: Mapping[str, Quirk] = {
    "Cosmos3OmniModularPipeline": replace(STANDARD["Cosmos3OmniPipeline"], unused=("sound_tokenizer",)),
    "EchoModularPipeline": Quirk("image", 25, (512, 704), 32, 241, ratio=8),
    "HunyuanVideo15ModularPipeline": Quirk("image", 24, (480, 848), 16, 121),
    "LTX2ModularPipeline": replace(
        STANDARD["LTX2ConditionPipeline"], unused=("duration_head", "processor", "prompt_enhancer")
    ),
    "LTXModularPipeline": STANDARD["LTXImageToVideoPipeline"],
    "MiniMaxH3ModularPipeline": Quirk(
        "image",
        24,
        (768, 1344),
        32,
        345,
        lengths=(17, 5),
        fewest=124,
        unused=("transformer_ref",),
        note="A call makes 124 frames (5.2 s) at least, of which those that are not asked for are dropped.",
    ),
    "Wan22Image2VideoModularPipeline": STANDARD["WanImageToVideoPipeline"],
    "WanImage2VideoModularPipeline": STANDARD["WanImageToVideoPipeline"],
}
QUIRKS: Mapping[str, Quirk] = {**STANDARD, **MODULAR}

# Classes that make videos from text, and those that continue frames with the same components.
CONTINUED_BY: Mapping[str, tuple[str, ...]] = {
    "LTX2Pipeline": ("LTX2ConditionPipeline", "LTX2ImageToVideoPipeline"),
    "LTXPipeline": ("LTXConditionPipeline", "LTXImageToVideoPipeline"),
    "SkyReelsV2DiffusionForcingPipeline": (
        "SkyReelsV2DiffusionForcingVideoToVideoPipeline",
        "SkyReelsV2DiffusionForcingImageToVideoPipeline",
    ),
    "WanPipeline": ("WanImageToVideoPipeline",),
}

_EDITS = "changes a video that it is given instead of continuing it"
_ENLARGES = "enlarges a video that it is given instead of continuing it"
REFUSED: Mapping[str, str] = {
    "AnimateDiffVideoToVideoControlNetPipeline": _EDITS,
    "AnimateDiffVideoToVideoPipeline": _EDITS,
    "CogVideoXFunControlPipeline": "follows a control video of the whole clip, which would show it the future",
    "CogVideoXVideoToVideoPipeline": _EDITS,
    "Cosmos2_5_TransferPipeline": "follows a control video of the whole clip, which would show it the future",
    "LTX2InContextPipeline": "follows a reference video of the whole clip, which would show it the future",
    "LTX2LatentUpsamplePipeline": _ENLARGES,
    "LTXLatentUpsamplePipeline": _ENLARGES,
    "VideoToVideoSDPipeline": _EDITS,
    "WanAnimatePipeline": "follows a driving video of the whole clip, which would show it the future",
    "WanVideoToVideoPipeline": _EDITS,
}
GUARDED = "Cosmos"  # pipelines of this family are licensed with a safety checker
GUARDRAIL_PACKAGE = "cosmos_guardrail"


def refuse_class(class_name: str, path: Path) -> None:
    """Raise ModelError where pipelines of this class cannot be evaluated."""
    if class_name in REFUSED:
        raise ModelError(f"{path}: {class_name} {REFUSED[class_name]}.")


def continuing_classes(class_name: str) -> str:
    """ " Add --model-arg pipeline=...": classes that continue frames with the components of one that does not."""
    others = CONTINUED_BY.get(class_name, ())
    if not others:
        return ""
    return f" The same components continue frames: add --model-arg pipeline={' or pipeline='.join(others)}."


INDEX = "model_index.json"
MODULAR_INDEX = "modular_model_index.json"  # of a pipeline that is put together from blocks when it is loaded
PIPELINE_LIBRARIES = ("diffusers", "transformers")
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
HASHED = (".json", ".jinja", ".model", ".safetensors", ".txt")  # everything that decides the answers
AGAIN = "Download or copy the folder again."


@dataclass(frozen=True)
class PipelineFolder:
    """The index of a pipeline's folder.

    Attributes:
        path: The folder.
        class_name: Pipeline class that it was saved from.
        saved_by: Version of diffusers that saved it, "" if it does not say.
        components: (library, class) by name, for those that are in the folder.
        options: Other values of the index, such as `boundary_ratio`.
        elsewhere: Place by name of those components of a modular pipeline that are not in the folder; "" of those for
            which its index names none, as of what was not loaded when it was saved.
        modular: True if the pipeline is put together from blocks.
    """

    path: Path
    class_name: str
    saved_by: str
    components: dict[str, tuple[str, str]]
    options: dict[str, Any]
    elsewhere: dict[str, str] = field(default_factory=dict)
    modular: bool = False

    @property
    def index(self) -> Path:
        return self.path / (MODULAR_INDEX if self.modular else INDEX)

    def weights(self, variant: str | None = None) -> list[Path]:
        """The files of weights, in a fixed order."""
        return [file for name in sorted(self.components) for file in weight_files(self.path / name, variant)]

    def config(self, name: str) -> dict[str, Any]:
        """The config of a component; empty without one."""
        path = self.path / name / "config.json"
        return read_json(path) if path.is_file() else {}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ModelError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # RecursionError: brackets in brackets
        raise ModelError(f"{path} is not valid JSON ({error}). {AGAIN}") from None
    if not isinstance(document, dict):
        raise ModelError(f"{path}: expected a JSON object, got a {type(document).__name__}. {AGAIN}")
    return document


def read_folder(path: Path) -> PipelineFolder:
    """Read the index of a pipeline's folder and refuse one that names code. Raises ModelError."""
    if not path.is_dir():
        raise ModelError(describe_missing_path(path) if not path.exists() else f"{path} is not a folder.")
    modular = not (path / INDEX).is_file() and (path / MODULAR_INDEX).is_file()
    index = path / (MODULAR_INDEX if modular else INDEX)
    if not index.is_file():
        snapshots = sorted((path / "snapshots").glob(f"*/*{INDEX}"))
        hint = f" Did you mean {snapshots[-1].parent}?" if snapshots else " It is written by `pipe.save_pretrained`."
        raise ModelError(f"{path} has no {INDEX}, so it is not the folder of a diffusers pipeline.{hint}")
    document = read_json(index)
    class_name = document.pop("_class_name", None)
    if isinstance(class_name, list) and class_name:
        raise ModelError(f"{index} names a pipeline class of its own code ({class_name[0]}), which is not run.")
    if not isinstance(class_name, str) or not _is_name(class_name):
        raise ModelError(f"{index} does not say which pipeline class it belongs to (_class_name). {AGAIN}")
    saved_by = printable(str(document.pop("_diffusers_version", ""))[:40])
    components: dict[str, tuple[str, str]] = {}
    options: dict[str, Any] = {}
    elsewhere: dict[str, str] = {}
    for name, value in document.items():
        source = _source(value) if modular else {}
        pair = source.get("type_hint", value) if source else value
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str | None) for part in pair)):
            if not source:
                options[name] = value
            continue
        if pair[0] is None or pair[1] is None:
            continue
        for word in (name, pair[1]):  # a folder in this one, and a class
            if not _is_name(word):
                raise ModelError(f"{index}: {word!a:.60} is no name of a component or class. {AGAIN}")
        place = source.get("pretrained_model_name_or_path") or source.get("repo")
        if source and not (path / name).is_dir():
            elsewhere[name] = printable(str(place or "")[:100])  # where a component is to be loaded from
        elif source and source.get("subfolder", name) != name:
            raise ModelError(f"{index}: '{name}' is in a folder of another name, {source['subfolder']!a:.60}: refused.")
        else:
            components[name] = (pair[0], pair[1])
    return PipelineFolder(path, class_name, saved_by, components, options, elsewhere, modular)


def _source(value: Any) -> dict[str, Any]:
    """Loading spec of a component of a modular pipeline, its library and class as `type_hint`; {} of other values."""
    if not (isinstance(value, list) and len(value) == 3 and isinstance(value[2], dict)):
        return {}
    source: dict[str, Any] = value[2]
    return source if value[0] is None else {**source, "type_hint": value[:2]}


def is_pipeline(path: Path) -> bool:
    """True if a folder is that of a diffusers pipeline."""
    return (path / INDEX).is_file() or (path / MODULAR_INDEX).is_file()


def _is_name(text: str) -> bool:
    return text.isidentifier() and len(text) <= CARD_BOUNDS.name


def check_folder(folder: PipelineFolder) -> None:
    """Refuse a folder that lacks components, holds pickles or code, or ends early. Raises ModelError.

    Headers of weights are compared with the length of their files; no weight is read.
    """
    code = next(iter(sorted(folder.path.glob("*.py")) + sorted(folder.path.glob("*/*.py"))), None)
    if code is not None:
        raise ModelError(f"{code} is code that comes with the pipeline, which is not run: refused.")
    for name, (library, class_name) in sorted(folder.components.items()):
        if library == GUARDRAIL_PACKAGE:
            continue
        if not _is_library(library):
            raise ModelError(
                f"{folder.index}: the component '{name}' is a {class_name} of {library!a:.60}, and only classes "
                f"of {' and '.join(PIPELINE_LIBRARIES)} are loaded: refused."
            )
        check_component(folder.path / name, class_name)


def _is_library(name: str) -> bool:
    """True if a component's library is known: diffusers, transformers, or a family of pipelines of diffusers."""
    if name in PIPELINE_LIBRARIES:
        return True
    spec = importlib.util.find_spec("diffusers")
    places = (spec.submodule_search_locations or []) if spec else []
    return name.isidentifier() and any((Path(place) / "pipelines" / name).is_dir() for place in places)


def check_component(path: Path, class_name: str) -> None:
    """Refuse a folder of one network that lacks files, holds pickles or ends early. Raises ModelError."""
    if not path.is_dir():
        raise ModelError(f"{path.parent} lacks the component '{path.name}' ({class_name}). {AGAIN}")
    names = {file.name for file in path.iterdir()}
    if not names:
        raise ModelError(f"{path} is empty; expected a {class_name}. {AGAIN}")
    if names & {INDEX, MODULAR_INDEX}:
        raise ModelError(f"{path} is a pipeline in a pipeline, whose components nobody has checked: refused.")
    if "config.json" not in names:
        pickles = sorted(name for name in names if name.endswith(PICKLES))
        if pickles or any(name.endswith(".safetensors") for name in names):
            raise ModelError(f"{path} lacks config.json, which says what its weights are. {AGAIN}")
        return
    for index in sorted(path.glob("*.safetensors.index*.json")):
        table = read_json(index).get("weight_map", {})
        if not isinstance(table, dict) or not all(isinstance(shard, str) for shard in table.values()):
            raise ModelError(f"{index}: expected its weight_map to be a table of file names. {AGAIN}")
        shards = set(table.values())
        missing = sorted(shards - names)
        if missing:
            raise ModelError(f"{path} lacks {len(missing)} of {len(shards)} files of weights ({missing[0]}). {AGAIN}")
    files = sorted(path.glob("*.safetensors"))
    if not files:
        pickles = sorted(name for name in names if name.endswith(PICKLES))
        if pickles:
            raise ModelError(
                f"{path / pickles[0]} is a pickle, which can run code when it is loaded, and there are no .safetensors "
                "beside it: refused.\nSave it again with save_pretrained(DIR, safe_serialization=True)."
            )
        raise ModelError(f"{path} has no .safetensors; expected the weights of a {class_name}. {AGAIN}")
    for file in files:
        read_header(file)


def weight_files(path: Path, variant: str | None = None) -> list[Path]:
    """The .safetensors of a component: those of a variant such as "fp16" if it has them, else those of none."""
    files = sorted(path.glob("*.safetensors"))
    chosen = [file for file in files if variant and f".{variant}" in file.name.removesuffix(".safetensors")]
    return chosen or [file for file in files if "." not in file.name.removesuffix(".safetensors")] or files


def folder_sha256(folder: PipelineFolder) -> str:
    """Hash of the index and of the configs, vocabularies and weights of all components, read in blocks.

    Names are hashed with the contents, in alphabetical order; README files and pictures are not.
    """
    digest = hashlib.sha256()
    files = [folder.index]
    for name in sorted(folder.components):
        files += sorted(file for file in (folder.path / name).rglob("*") if file.is_file() and file.suffix in HASHED)
    for file in files:
        digest.update(f"\n{file.relative_to(folder.path).as_posix()} {file.stat().st_size}\n".encode())
        add_file(digest, file)
    return digest.hexdigest()


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
