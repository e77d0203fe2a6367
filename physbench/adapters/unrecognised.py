"""Describes a target that no adapter recognises: what the file or folder is, and what to do with it."""

from __future__ import annotations

import difflib
import os
import re
import zipfile
from pathlib import Path

from physbench.adapters.latent_predictors import (
    describe_latent_predictor,
    latent_predictor_pickle,
    refused_folder,
)
from physbench.adapters.pickle_scan import (
    MAX_PICKLE_BYTES,
    MAX_ZIP_PICKLES,
    NotAPickle,
    imported_globals,
    is_old_pickle,
    is_zip,
    looks_like_pickle,
    pickled_texts,
    pickles_in_zip,
    unsafe_globals,
)
from physbench.adapters.tensor_file import INDEX_END, METADATA_KEY, find_index, looks_like_safetensors
from physbench.adapters.videos_containers import DEMUXERS
from physbench.errors import nearest
from physbench.plugins import entry_points
from physbench.storage.user_paths import user_path

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
        from physbench.adapters.checkpoints import shipped_checkpoints

        baselines = entry_points.load("physbench.adapters", "baseline").examples()
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


SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")
PIPELINE_PARTS = ("transformer", "unet", "vae", "text_encoder")  # folders of a diffusers pipeline


def _snapshot(path: Path) -> Path | None:
    """The newest snapshot in a folder of a cache of models, "models--OWNER--NAME"."""
    found = [each for each in (path / "snapshots").glob("*") if each.is_dir()]
    return max(found, key=lambda each: each.stat().st_mtime, default=None)


def _describe_folder(path: Path) -> str:
    if refused := refused_folder(path):
        return refused
    names = sorted(entry.name for entry in path.iterdir())
    if snapshot := _snapshot(path):
        return f"{path} is a cache of a model with its snapshots. Did you mean {snapshot}?"
    if parts := [name for name in names if (path / name / "config.json").is_file() and name in PIPELINE_PARTS]:
        return (
            f"{path} holds parts of a diffusers pipeline ({', '.join(parts)}) and no model_index.json, which says what "
            "they make. It is written by `pipe.save_pretrained`."
        )
    checkpoints = [name for name in names if looks_like_safetensors(path / name)]
    shards = [name for name in checkpoints if SHARD.search(name)]
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


# What tables, lists, tuples and objects begin with in protocols 0 and 1: ( ] } ) and the opcode of a global, c.
OLD_PICKLE_STARTS = (b"(", b"]", b"}", b")", b"c")


def _describe_file(path: Path, start: bytes) -> str:
    if not start:
        return f"{path} is empty. Download or copy it again."
    if start.startswith(b"PK"):
        return _describe_zip(path)
    if looks_like_pickle(start):
        with path.open("rb") as file:
            return _describe_pickle(path, [file.read(MAX_PICKLE_BYTES)])
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull`."
    for offset, magic, kind in KNOWN_SIGNATURES:
        if start[offset : offset + len(magic)] == magic:
            return f"{path} is {kind}, not a model. {HINT_SAFE_FORMATS}"
    if path.suffix == ".onnx" and not start.lstrip().startswith(b"<"):
        return f"{path} is no ONNX graph, whatever its name says. Export it, or download or copy it again."
    if start[:1] in OLD_PICKLE_STARTS and path.stat().st_size <= MAX_PICKLE_BYTES and is_old_pickle(path.read_bytes()):
        return _describe_pickle(path, [path.read_bytes()])
    if b"\0" not in start:
        return _describe_text(path, start)
    if path.suffix == ".safetensors":
        return f"{path} is corrupt: it does not start like a .safetensors file. Download or copy it again."
    return f"{path} is of no kind that this version knows. {HINT_SAFE_FORMATS}"


def _describe_text(path: Path, start: bytes) -> str:
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


def _describe_zip(path: Path) -> str:
    parts = pickles_in_zip(path)
    if parts is None and is_zip(path):
        return (
            f"{path} is a zip file whose pickles are damaged, encrypted, more than {MAX_ZIP_PICKLES} or larger than "
            f"{MAX_PICKLE_BYTES >> 20} MB together: refused. {HINT_SAFE_FORMATS}"
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
    from physbench.adapters.checkpoints import WRAPPERS

    heads = [text.partition(".")[0] for text in texts if "." in text]
    word = next((word for word in WRAPPERS if 2 * heads.count(word) > len(heads)), None)
    if word is None:
        return ""
    return f"Its names have the prefix {word}., which comes from {WRAPPERS[word]}: save it without. "


def _describe_pickle(path: Path, parts: list[bytes]) -> str:
    try:
        names = set().union(*(imported_globals(part) for part in parts))
        texts = set().union(*(pickled_texts(part) for part in parts))
    except NotAPickle:
        return f"{path} is a truncated or corrupt pickle. Download or copy it again."
    if latents := latent_predictor_pickle(names, texts):
        return describe_latent_predictor(path, latents)
    bad = unsafe_globals(names)
    if bad:
        shown = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        return f"{path} is a pickle that would run code when it is loaded ({shown}): refused.\n{HINT_SAFE_FORMATS}"
    schemes = ", ".join(entry_points.entries("physbench.architectures"))
    wrapped = _wrapper_words(texts)
    return (
        f"{path} is a checkpoint of plain tensors that does not say which architecture reads it. {wrapped}{HINT_WRAP}\n"
        f"Or save the tensors as .safetensors with the metadata key '{METADATA_KEY}' (architectures here: {schemes})."
    )
