"""Describes a target that no adapter recognises: what the file or folder is, and what to do with it."""

from __future__ import annotations

import difflib
import io
import json
import os
import pickletools
import re
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from physbench.models.adapter import describe_missing_path
from physbench.models.safetensors_files import METADATA_KEY, WRAPPERS, describe_checkpoints, shipped_checkpoints
from physbench.support import plugins
from physbench.support.files import DAMAGED_ARCHIVE, user_path

# What torch itself writes into a checkpoint of plain tensors. Everything else would run code from the file.
SAFE_GLOBALS = {
    "collections.OrderedDict",
    "collections.defaultdict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
    "torch.nn.parameter.Parameter",
    "torch.Size",
    "torch.device",
    "torch.Tensor",
    "torch.serialization._get_layout",
}


@dataclass(frozen=True)
class PickleBounds:
    """The most that is read of pickles."""

    pickles: int = 5
    zip_pickles: int = 16  # files in one zip file; torch writes one
    bytes: int = 64 * 2**20  # read of one pickle, and of all in one zip file together
    instructions: int = 2_000_000  # of one pickle; those of a large network are a fortieth of that


BOUNDS = PickleBounds()


STACK_MARK = object()  # on the stack


class NotAPickle(Exception):
    """The bytes are not a complete pickle."""


@dataclass
class PickleContent:
    """Content of pickles before they are loaded."""

    names: set[str] = field(default_factory=set)  # "module.name", that they would import
    texts: set[str] = field(default_factory=set)  # names of tensors among them


def read_pickles(parts: Iterable[bytes]) -> PickleContent:
    """Read pickles without running them. Raises NotAPickle.

    torch's old format is several pickles in a row, then raw numbers.
    """
    content = PickleContent()
    for part in parts:
        stream = io.BytesIO(part)
        for _ in range(BOUNDS.pickles):
            _read_next(stream, content)
            if not looks_like_pickle(part[stream.tell() : stream.tell() + 2]):
                break
    return content


def _read_next(stream: io.BytesIO, content: PickleContent) -> None:
    """Read one pickle. What its instructions do to the stack is followed as `pickletools.dis` follows it."""
    stack: list[Any] = []  # texts, STACK_MARK, and None for all else
    memo: dict[int, Any] = {}
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number == BOUNDS.instructions:
                raise NotAPickle(f"it has more than {BOUNDS.instructions:,} instructions")
            name = opcode.name
            if name in ("GLOBAL", "INST"):
                content.names.add(str(argument).replace(" ", "."))
            elif name == "STACK_GLOBAL":
                parts = stack[-2:]
                named = len(parts) == 2 and all(isinstance(part, str) for part in parts)
                content.names.add(".".join(parts) if named else "unknown")
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[int(argument or 0)] = stack[-1]
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif "UNICODE" in name:
                content.texts.add(str(argument))
            _follow(opcode, argument, stack, memo)
    except Exception as error:  # pickletools raises whatever the bytes lead to
        raise NotAPickle(str(error)) from None


def _follow(opcode: Any, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """Change the stack as an instruction does. Raises IndexError or KeyError where it cannot be done."""
    top = stack[-1:]
    if opcode.name == "MEMOIZE":
        return
    takes = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before or (opcode.name == "POP" and top == [STACK_MARK]):
        while stack.pop() is not STACK_MARK:
            pass
        marks = [place for place, each in enumerate(opcode.stack_before) if each is pickletools.markobject]
        takes = marks[0] if marks else 0
    if takes > len(stack):
        raise IndexError("it takes more from its stack than is there")
    if takes:
        del stack[-takes:]
    if opcode.name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[int(argument)])
    elif opcode.name == "DUP":
        stack += top * 2
    elif "UNICODE" in opcode.name or opcode.name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
        stack.append(str(argument))
    else:
        stack += [STACK_MARK if each is pickletools.markobject else None for each in opcode.stack_after]


def unsafe_globals(names: set[str]) -> list[str]:
    """The names that do not belong to plain tensors, sorted."""
    return sorted(name for name in names if name not in SAFE_GLOBALS and not _is_torch_type(name))


def _is_torch_type(name: str) -> bool:
    """torch.FloatStorage, torch.bfloat16 and the like."""
    package, _, kind = name.rpartition(".")
    if kind.endswith("Storage"):
        return package in ("torch", "torch.storage", "torch.cuda")
    return package == "torch" and kind.rstrip("0123456789") in (
        "float",
        "bfloat",
        "int",
        "uint",
        "complex",
        "bool",
        "half",
        "long",
        "double",
    )


def is_old_pickle(data: bytes) -> bool:
    """True if bytes that are no program text are a pickle of protocol 0 or 1, which has no signature."""
    try:
        _read_next(stream := io.BytesIO(data), PickleContent())
    except NotAPickle:
        return False
    return stream.tell() > 1


def looks_like_pickle(start: bytes) -> bool:
    """True if bytes start a pickle of protocol 2 to 5. Older ones are text without a signature."""
    return len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5


def is_zip(path: Path) -> bool:
    """True if a file ends like a zip file of one part."""
    try:
        return zipfile.is_zipfile(path)
    except DAMAGED_ARCHIVE:  # it says that it is one of several; newer versions of Python return False
        return False


def pickles_in_zip(path: Path) -> list[bytes] | None:
    """The pickles inside a zip file (data.pkl and the like).

    None if it cannot be read as a zip file, holds more than 16 pickles, or more than 64 MiB of them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if item.filename.endswith(".pkl")]
            if len(members) > BOUNDS.zip_pickles or sum(item.file_size for item in members) > BOUNDS.bytes:
                return None
            left, parts = BOUNDS.bytes, []
            for item in members:
                with archive.open(item) as stream:
                    parts.append(stream.read(left))  # an archive may declare less than it holds
                left -= len(parts[-1])
            return parts
    except DAMAGED_ARCHIVE:
        return None


# Recognises networks that predict no frames (I-JEPA, V-JEPA, DINO-WM): what they are, and which way in they have.

PLANNED = (
    "It predicts latents, in which no object can be followed. How surprised it is by impossible events can be read: "
    "give it a `surprise` and a SurpriseCard in a Python file, and run that on `--suite expectation`."
)
SURPRISED = {"vjepa2": "V-JEPA 2", "videomae": "VideoMAE"}  # `model_type` of what `transformers:DIR` can ask
OTHERS = {
    "ijepa": (
        "I-JEPA",
        "In the format of transformers it is an encoder without a predictor: it expects nothing, so that nothing can "
        "surprise it.",
    ),
    "vjepa": ("V-JEPA", PLANNED),
}


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


def latent_predictor_pickle(content: PickleContent) -> str | None:
    """Name of the predictor of latents in a pickle; None: another model."""
    dino_wm_modules = ("models.vit.ViTPredictor", "models.dino.DinoV2Encoder", "models.visual_world_model.")
    if any(name.startswith(dino_wm_modules) for name in content.names):
        return "DINO-WM"
    # Keys of Meta's checkpoints: jepa, vjepa2, ijepa
    return "I-JEPA or V-JEPA" if content.texts >= {"encoder", "predictor", "target_encoder"} else None


# All other files and folders.

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
        baselines = plugins.load("physbench.adapters", "baseline").examples()
        known = {target.partition(":")[2]: target for target, _, _ in baselines}
        known |= {name: f"reference:{name}" for name in shipped_checkpoints()}
        if close := difflib.get_close_matches(target, known, n=1, cutoff=0.5):
            return f"There is no file '{target}'. Did you mean {known[close[0]]}?"
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
    if checkpoints := describe_checkpoints(path, names):
        return checkpoints
    if "manifest.json" in names:
        return f"{path} is a run folder, not a model. `physbench report {path}` shows it."
    if _hold_videos(names):
        return (
            f"{path} is a folder of videos: give videos:{path}, with the answer.json of `physbench data export` in it."
        )
    if model_type(path):
        return f"{path} is a transformers model, which this version does not load by itself.\n{HINT_WRAP}"
    if not names:
        return f"{path} is empty: was the download finished?"
    shown = ", ".join(names[:4])
    return f"{path} is a folder with {shown} in it: not a model that this version knows. {HINT_WRAP}"


def _hold_videos(names: Iterable[str]) -> bool:
    from physbench.clips.video import DEMUXERS

    return any(name.lower().endswith(tuple(DEMUXERS)) for name in names)


def _names_in_archive(path: Path) -> list[str]:
    """Names of the files in a zip or plain tar archive; none of what is neither, or damaged."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return archive.namelist()
        with tarfile.open(path, "r:") as tar:
            return tar.getnames()
    except DAMAGED_ARCHIVE:
        return []


def _describe_file(path: Path, start: bytes) -> str:
    if not start:
        return f"{path} is empty. Download or copy it again."
    names = _names_in_archive(path)
    if names and _hold_videos(names) and not any(name.endswith("data.pkl") for name in names):
        return f"{path} holds videos: give videos:{path} if they are the answers to a `physbench data export`."
    if start.startswith(b"PK"):
        return _describe_zip(path)
    if looks_like_pickle(start):
        with path.open("rb") as file:
            return _describe_pickle(path, [file.read(BOUNDS.bytes)])
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull`."
    for offset, magic, kind in KNOWN_SIGNATURES:
        if start[offset : offset + len(magic)] == magic:
            return f"{path} is {kind}, not a model. {HINT_SAFE_FORMATS}"
    if path.suffix == ".onnx" and not start.lstrip().startswith(b"<"):
        return f"{path} is no ONNX graph, whatever its name says. Export it, or download or copy it again."
    if (
        start[:1] in (b"(", b"]", b"}", b")", b"c")
        and path.stat().st_size <= BOUNDS.bytes
        and is_old_pickle(path.read_bytes())
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
    parts = pickles_in_zip(path)
    if parts is None and is_zip(path):
        return (
            f"{path} is a zip file whose pickles are damaged, encrypted, more than {BOUNDS.zip_pickles} or "
            f"larger than {BOUNDS.bytes >> 20} MB together: refused. {HINT_SAFE_FORMATS}"
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
    heads = [text.partition(".")[0] for text in texts if "." in text]
    word = next((word for word in WRAPPERS if 2 * heads.count(word) > len(heads)), None)
    if word is None:
        return ""
    return f"Its names have the prefix {word}., which comes from {WRAPPERS[word]}: save it without. "


def _describe_pickle(path: Path, parts: list[bytes]) -> str:
    try:
        content = read_pickles(parts)
    except NotAPickle:
        return f"{path} is a truncated or corrupt pickle. Download or copy it again."
    if latents := latent_predictor_pickle(content):
        return f"{path} is a checkpoint of {latents}. {PLANNED}"
    if bad := unsafe_globals(content.names):
        shown = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        return f"{path} is a pickle that would run code when it is loaded ({shown}): refused.\n{HINT_SAFE_FORMATS}"
    schemes = ", ".join(plugins.entries("physbench.architectures"))
    wrapped = _wrapper_words(content.texts)
    return (
        f"{path} is a checkpoint of plain tensors that does not say which architecture reads it. {wrapped}{HINT_WRAP}\n"
        f"Or save the tensors as .safetensors with the metadata key '{METADATA_KEY}' (architectures here: {schemes})."
    )
