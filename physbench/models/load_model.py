"""Finds the adapter of a target and loads the model; describes what no adapter recognises.

A target is `scheme:rest`, or a path that is recognised by its content. torch is imported only when a model is loaded.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, Unpack

from physbench.models import pickle_scan
from physbench.models.adapter import Adapter, CodeAdapter, DescribedAdapter, RecordedAdapter
from physbench.models.protocol import Encoder, Model
from physbench.models.safetensors_files import INDEX_END, METADATA_KEY, find_index, looks_like_safetensors
from physbench.models.video_containers import DEMUXERS
from physbench.support import plugins
from physbench.support.errors import ModelError, nearest
from physbench.support.files import user_path

if TYPE_CHECKING:
    import torch

    from physbench.clips.suite import Suite

# Recognises networks that predict no frames (I-JEPA, V-JEPA, DINO-WM): what they are, and which way in they have.

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


def model_type(path: Path) -> str | None:
    """Model type in the config.json of a folder of transformers; None without one."""
    try:
        with (path / "config.json").open("rb") as file:
            config = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("model_type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


def refused_folder(path: Path) -> str | None:
    """Reason that the folder of a predictor of latents is refused, in a line; None: another model."""
    name, reason = OTHERS.get(model_type(path) or "", ("", ""))
    return f"{path} is a checkpoint of {name}. {reason}" if name else None


def latent_predictor_pickle(names: set[str], texts: set[str]) -> str | None:
    """Name of the predictor of latents in a pickle; None: another model.

    Args:
        names: What the pickle would import, see `pickle_scan.imported_globals`.
        texts: The texts in it, see `pickle_scan.pickled_texts`.
    """
    dino_wm_modules = ("models.vit.ViTPredictor", "models.dino.DinoV2Encoder", "models.visual_world_model.")
    if any(name.startswith(dino_wm_modules) for name in names):
        return "DINO-WM"
    # Keys of Meta's checkpoints: jepa, vjepa2, ijepa
    return "I-JEPA or V-JEPA" if texts >= {"encoder", "predictor", "target_encoder"} else None


def describe_latent_predictor(path: Path, name: str) -> str:
    """The message that refuses one: one line."""
    return f"{path} is a checkpoint of {name}. {PLANNED}"


# Describes a target that no adapter recognises: what the file or folder is, and what to do with it.

HINT_SAFE_FORMATS = (
    f"Safe ways in: a .safetensors file with the metadata key '{METADATA_KEY}', or a few lines of Python, "
    "my_model.py:make."
)

HINT_WRAP = "Wrap it in a few lines of Python, my_model.py:make, that build the model and load the file."

KNOWN_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"ftyp", "an MP4 video"),
    (0, b"\x1aE\xdf\xa3", "a Matroska video"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"\x7fELF", "a program"),
)


def describe_missing_path(path: Path) -> str:
    """The message for a path that does not exist, with the nearest name in its folder."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder != path.parent:
        return f"{path} does not exist: there is no folder {path.parent}. The last one that exists is {folder}."
    try:
        names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        names = []
    close = nearest(path.name, names)
    return f"{path} does not exist.{close if 'Did you mean' in close else ''}"


def describe_unrecognised(target: str) -> str:
    """The message for a target that no adapter recognises: one or two lines."""
    path = user_path(target)
    try:
        if not path.exists():
            return _describe_missing_target(target, path)
        if path.is_dir():
            return _describe_folder(path)
        if not os.access(path, os.R_OK):
            return f"{path} cannot be read: permission denied. Change its rights."
        if not path.is_file():
            return f"{path} is neither a file nor a folder."
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        return f"{target} cannot be read: {error.strerror}."
    return _describe_file(path, start)


def _describe_missing_target(target: str, path: Path) -> str:
    plain = os.sep not in target and not path.suffix
    if plain:
        from physbench.models.safetensors_files import shipped_checkpoints

        baselines = plugins.load("physbench.adapters", "baseline").examples()
        known = {target.partition(":")[2]: target for target, _, _ in baselines}
        known |= {name: f"reference:{name}" for name in shipped_checkpoints()}
        if target in known:
            return f"There is no file '{target}'. Did you mean {known[target]}?"
        if "Did you mean" in nearest(target, known):
            name = difflib.get_close_matches(target, known, n=1, cutoff=0.5)[0]
            return f"There is no file '{target}'. Did you mean {known[name]}?"
    if re.fullmatch(r"[\w.-]+:\d{2,5}(/.*)?", target):
        return f"There is no file '{target}'. For a model behind a server give http://{target}."
    return f"{describe_missing_path(path)}\n`physbench models list` shows what can be evaluated."


def _snapshot(path: Path) -> Path | None:
    """The newest snapshot in a folder of a cache of models, "models--OWNER--NAME"."""
    snapshots = [each for each in (path / "snapshots").glob("*") if each.is_dir()]
    return max(snapshots, key=lambda each: each.stat().st_mtime, default=None)


def _describe_folder(path: Path) -> str:
    if refused := refused_folder(path):
        return refused
    names = sorted(entry.name for entry in path.iterdir())
    if snapshot := _snapshot(path):
        return f"{path} is a cache of a model with its snapshots. Did you mean {snapshot}?"
    pipeline_parts = ("transformer", "unet", "vae", "text_encoder")  # folders of a diffusers pipeline
    if parts := [name for name in names if (path / name / "config.json").is_file() and name in pipeline_parts]:
        return (
            f"{path} holds parts of a diffusers pipeline ({', '.join(parts)}) and no model_index.json, which says what "
            "they make. It is written by `pipe.save_pretrained`."
        )
    checkpoints = [name for name in names if looks_like_safetensors(path / name)]
    shards = [name for name in checkpoints if re.search(r"-\d+-of-\d+\.safetensors$", name)]
    if shards and find_index(path) is None:
        return (
            f"{path} holds {len(shards)} files of a checkpoint in shards ({shards[0]}) without their index, "
            f"model{INDEX_END}. Copy it there, too."
        )
    checkpoints = [name for name in checkpoints if name not in shards]
    if checkpoints:
        return f"{path} is a folder. Did you mean {' or '.join(str(path / name) for name in checkpoints[:3])}?"
    if "manifest.json" in names:
        return f"{path} is a run folder, not a model. `physbench report {path}` shows it."
    if any(name.lower().endswith(tuple(DEMUXERS)) for name in names):
        return (
            f"{path} is a folder of videos: give videos:{path}, with the answer.json of `physbench data export` in it."
        )
    if "config.json" in names:
        return f"{path} is a transformers model, which this version does not load by itself.\n{HINT_WRAP}"
    if not names:
        return f"{path} is empty: was the download finished?"
    shown = ", ".join(names[:4])
    return f"{path} is a folder with {shown} in it: not a model that this version knows. {HINT_WRAP}"


def _describe_file(path: Path, start: bytes) -> str:
    if not start:
        return f"{path} is empty. Download or copy it again."
    if start.startswith(b"PK"):
        return _describe_zip(path)
    if pickle_scan.looks_like_pickle(start):
        with path.open("rb") as file:
            return _describe_pickle(path, [file.read(pickle_scan.BOUNDS.bytes)])
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull`."
    for offset, magic, kind in KNOWN_SIGNATURES:
        if start[offset : offset + len(magic)] == magic:
            return f"{path} is {kind}, not a model. {HINT_SAFE_FORMATS}"
    if path.suffix == ".onnx" and not start.lstrip().startswith(b"<"):
        return f"{path} is no ONNX graph, whatever its name says. Export it, or download or copy it again."
    if (
        start[:1] in (b"(", b"]", b"}", b")", b"c")
        and path.stat().st_size <= pickle_scan.BOUNDS.bytes
        and pickle_scan.is_old_pickle(path.read_bytes())
    ):
        return _describe_pickle(path, [path.read_bytes()])
    if b"\0" not in start:
        head = start.lstrip().lower()
        if head.startswith((b"<!doctype html", b"<html")):
            return f"{path} is a web page, not a model: the download needs a login or another address."
        if path.suffix == ".py" or head.startswith((b"import ", b"from ", b"#!/usr/bin/env python")):
            return f"{path} is Python code: say which function makes the model, as in {path}:make."
        try:
            start.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < len(start) - 4:  # else a character cut at the end of what was read
                return f"{path} is of no kind that this version knows. {HINT_SAFE_FORMATS}"
        return f"{path} is a text file, not a model. {HINT_SAFE_FORMATS}"
    if path.suffix == ".safetensors":
        return f"{path} is corrupt: it does not start like a .safetensors file. Download or copy it again."
    return f"{path} is of no kind that this version knows. {HINT_SAFE_FORMATS}"


def _describe_zip(path: Path) -> str:
    parts = pickle_scan.pickles_in_zip(path)
    if parts is None and pickle_scan.is_zip(path):
        return (
            f"{path} is a zip file whose pickles are damaged, encrypted, more than {pickle_scan.BOUNDS.zip_pickles} or "
            f"larger than {pickle_scan.BOUNDS.bytes >> 20} MB together: refused. {HINT_SAFE_FORMATS}"
        )
    if parts is None:
        return f"{path} is truncated or corrupt: it starts like a zip file but does not end like one. Copy it again."
    with zipfile.ZipFile(path) as archive:
        names = [name.split("/", 1)[-1] for name in archive.namelist()]
    if any(name.startswith("code/") for name in names):
        return f"{path} is a TorchScript program: loading it would run code, so it is refused.\n{HINT_SAFE_FORMATS}"
    if not parts:
        return f"{path} is a zip archive without a checkpoint in it. {HINT_SAFE_FORMATS}"
    return _describe_pickle(path, parts)


def _wrapper_words(texts: set[str]) -> str:
    """Says that most names of a checkpoint have the prefix of a wrapper, without which a layout may be known; or ""."""
    from physbench.models.safetensors_files import WRAPPERS

    heads = [text.partition(".")[0] for text in texts if "." in text]
    word = next((word for word in WRAPPERS if 2 * heads.count(word) > len(heads)), None)
    if word is None:
        return ""
    return f"Its names have the prefix {word}., which comes from {WRAPPERS[word]}: save it without. "


def _describe_pickle(path: Path, parts: list[bytes]) -> str:
    try:
        names = set().union(*(pickle_scan.imported_globals(part) for part in parts))
        texts = set().union(*(pickle_scan.pickled_texts(part) for part in parts))
    except pickle_scan.NotAPickle:
        return f"{path} is a truncated or corrupt pickle. Download or copy it again."
    if latents := latent_predictor_pickle(names, texts):
        return describe_latent_predictor(path, latents)
    bad = pickle_scan.unsafe_globals(names)
    if bad:
        shown = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        return f"{path} is a pickle that would run code when it is loaded ({shown}): refused.\n{HINT_SAFE_FORMATS}"
    schemes = ", ".join(plugins.entries("physbench.architectures"))
    wrapped = _wrapper_words(texts)
    return (
        f"{path} is a checkpoint of plain tensors that does not say which architecture reads it. {wrapped}{HINT_WRAP}\n"
        f"Or save the tensors as .safetensors with the metadata key '{METADATA_KEY}' (architectures here: {schemes})."
    )


ADAPTER_GROUP = "physbench.adapters"
Handed = Literal["context", "clip", "id"]
# Adapters of physbench whose models are given more than what they are shown. All others are given the context alone.
HANDED: Mapping[str, Handed] = {
    "physbench.models.videos.adapter:adapter": "id",
    "physbench.baselines.baseline_adapter:adapter": "clip",
    "physbench.validity.saboteur_adapter:adapter": "clip",
}


@dataclass(frozen=True)
class InstalledAdapters:
    """The registered adapters."""

    working: tuple[Adapter, ...]
    broken: dict[str, str]  # name: the error of its import


@cache
def installed_adapters() -> InstalledAdapters:
    """Import all registered adapters; a broken one does not affect the others."""
    working: list[Adapter] = []
    broken: dict[str, str] = {}
    for name, entry in plugins.entries(ADAPTER_GROUP).items():
        try:
            working.append(entry.load())
        except Exception as error:
            broken[name] = f"{type(error).__name__}: {error}"
    return InstalledAdapters(tuple(working), broken)


def find_adapter(target: str) -> Adapter:
    """Find the adapter of a target.

    Raises ModelError: there is none. The message says what the target is and what to do.
    """
    if "\0" in target:
        raise ModelError(f"Expected a MODEL, got {target!r}: it holds a NUL character.")
    names = plugins.entries(ADAPTER_GROUP)
    match = re.fullmatch(r"([a-z][a-z0-9-]+):(.*)", target, re.DOTALL)
    scheme = match[1] if match and not Path(target).exists() else ""
    if scheme in installed_adapters().broken:
        raise ModelError(f"The adapter '{scheme}' cannot be imported ({installed_adapters().broken[scheme]}).")
    for adapter in installed_adapters().working:
        if adapter.name == scheme or (scheme not in names and adapter.recognises(target)):
            return adapter

    if scheme and match and match[2].split("/")[0].isdecimal():
        raise ModelError(f"There is no kind of model '{scheme}:'. For a model behind a server give http://{target}.")
    if scheme:
        raise ModelError(f"There is no kind of model '{scheme}:'.{nearest(scheme, names)}")
    raise ModelError(describe_unrecognised(target))


def what_is_handed(target: str, privileged: bool = False) -> Handed:
    """Input of a model of this target: the context it is shown, whole clips, or the ids of clips.

    privileged: True if the user allows a model of his own to receive whole clips.
    """
    point = plugins.entries(ADAPTER_GROUP).get(find_adapter(target).name)
    handed: Handed = "context" if point is None else HANDED.get(point.value, "context")
    return "clip" if handed == "context" and privileged else handed


def is_served(target: str) -> bool:
    """True if a model of this target is behind a server, which wants the token of the environment."""
    return find_adapter(target).name == "http"


def check_target(target: str, *, trust_code: bool = False, view: str | None = None) -> None:
    """Raise ModelError if a target cannot be a model, or runs code and is not trusted. Nothing is run or loaded.

    view: In which it is to be asked; None: that of its card.
    """
    adapter = _trusted_adapter(target, trust_code)
    adapter.check(target)
    if view is not None:
        adapter.check_view(target, view)


def _trusted_adapter(target: str, trust_code: bool) -> Adapter:
    """The adapter of a target, if it runs no code that nobody asked for."""
    adapter = find_adapter(target)
    if isinstance(adapter, CodeAdapter) and not trust_code:
        raise ModelError(adapter.code_warning(target))
    return adapter


def model_sha256(target: str) -> str | None:
    """Hash of what decides a model's answers: tensors and metadata of a checkpoint, the text of a Python file."""
    return find_adapter(target).sha256(target)


def live_sha256(model: Model) -> str | None:
    """Hash of the weights of a model in this process; None where it holds no network whose weights could be read."""
    from physbench.models.networks import weights_sha256

    return weights_sha256(model)


def preflight(target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
    """Notes on a target before a suite is evaluated; only recorded answers have any.

    Raises UsageError: the target answers other clips than those of the suite.
    """
    adapter = find_adapter(target)
    return adapter.preflight(target, suite, samples, model_args) if isinstance(adapter, RecordedAdapter) else []


def describe_model(target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
    """Treatment of clips by a model, as (name, text), for the kinds that can say it without loading; else empty."""
    adapter = find_adapter(target)
    return adapter.describe(target, model_args) if isinstance(adapter, DescribedAdapter) else []


class LoadOptions(TypedDict):
    """Keywords with which any model is loaded."""

    device: torch.device
    """Where the model runs."""
    dtype: torch.dtype
    """Floating-point type of its weights and frames."""
    model_args: NotRequired[Mapping[str, str] | None]
    """Values of --model-arg, by name."""
    trust_code: NotRequired[bool]
    """Allow formats that run code when they are read, as .pt2 does. `file.py:factory` and `python:module:factory` need
    no such word: they name the code that may run."""


def _load(
    target: str,
    device: torch.device,
    dtype: torch.dtype,
    model_args: Mapping[str, str] | None = None,
    trust_code: bool = False,
) -> object:
    """What the adapter of a target makes; nothing of it is checked."""
    adapter = _trusted_adapter(target, trust_code)
    adapter.check(target)
    return adapter.load(target, device=device, dtype=dtype, model_args=dict(model_args or {}))


def load_model(
    target: str, *, privileged: bool = False, untrained: bool = False, **options: Unpack[LoadOptions]
) -> Model:
    """Load a model and check that it keeps the protocol of models.

    Args:
        target: `scheme:rest`, or a path that an adapter recognises.
        privileged: Allow a model of the user's that is handed whole clips. Built-in ones need no permission.
        untrained: Draw its weights anew, see `untrained_copy`.

    Returns a FrameModel; a PrivilegedModel or RecordedModel only where `what_is_handed` allows it.

    Raises ModelError: the target cannot be loaded or does not keep the protocol. The message says what to do.
    """
    from physbench.models.contract import check_contract

    checked = check_contract(_load(target, **options), target, what_is_handed(target, privileged))
    if not untrained:
        return checked
    from physbench.models.networks import make_untrained

    return make_untrained(checked, target)


def load_encoder(target: str, *, untrained_beside: Encoder | None = None, **options: Unpack[LoadOptions]) -> Encoder:
    """Load what has an `encode`: a model of any kind, or an object with a card and an `encode` alone.

    Args:
        target, options: As of `load_model`.
        untrained_beside: The same, loaded before. Draw weights anew; of `reference:NAME` as `untrained:NAME` does.

    Raises ModelError: the target cannot be loaded, has no encoder, or gives the same networks twice.
    """
    from physbench.models.contract import check_card_types

    untrained = untrained_beside is not None
    if untrained and target.startswith("reference:"):
        target, untrained = f"untrained:{target.partition(':')[2]}", False
    model = _load(target, **options)
    if not callable(getattr(model, "encode", None)):
        raise ModelError(
            f"{target} has no encoder: the {type(model).__name__} has no method `encode(frames)`, which gives latents "
            "(B, T', ...) of frames (B, T, H, W, 3) uint8."
        )
    check_card_types(getattr(model, "card", None), target)
    encoder: Encoder = model  # type: ignore[assignment]
    if untrained:
        from physbench.models.networks import find_networks, make_untrained

        loaded = {id(weights) for network in find_networks(untrained_beside) for weights in network.parameters()}
        if any(id(weights) in loaded for network in find_networks(encoder) for weights in network.parameters()):
            raise ModelError(f"{target}: its factory gives one network twice. Let it make a new one at each call.")
        make_untrained(encoder, target)
    return encoder
