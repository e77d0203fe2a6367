"""Says what a target is that no adapter takes, and what to do with it: one or two lines."""

from __future__ import annotations

import difflib
import os
import zipfile
from pathlib import Path

from physbench.adapters.pickle_scan import LARGEST, NotAPickle, globals_of, looks_like_pickle, offending, pickled_parts
from physbench.adapters.tensor_file import KEY, looks_like_tensors
from physbench.errors import nearest
from physbench.plugins import entry_points

SAFE = f"Safe ways in: a .safetensors file with the metadata key '{KEY}', or a few lines of Python, my_model.py:make."
WRAP = "Wrap it in a few lines of Python, my_model.py:make, that build the model and load the file."
VIDEOS = (".mp4", ".m4v", ".webm", ".mkv", ".mov", ".gif", ".avi")
PROTOBUF_ONNX = b"\x08"  # field 1, ir_version, as a number

MAGIC: tuple[tuple[int, bytes, str], ...] = (
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


def missing(path: Path) -> str:
    """A path that is not there: names near it."""
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


def diagnose(target: str) -> str:
    """What is wrong with a target that no adapter recognises."""
    path = Path(target).expanduser()
    try:
        if not path.exists():
            return _not_there(target, path)
        if path.is_dir():
            return _folder(path)
        if not os.access(path, os.R_OK):
            return f"{path} cannot be read: permission denied. Change its rights."
        if not path.is_file():
            return f"{path} is neither a file nor a folder."
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        return f"{target} cannot be read: {error.strerror}."
    return _file(path, start)


def _not_there(target: str, path: Path) -> str:
    plain = os.sep not in target and not path.suffix
    if plain:
        from physbench.adapters.checkpoints import shipped

        baselines = entry_points.load("physbench.adapters", "baseline").examples()
        known = {target.partition(":")[2]: target for target, _, _ in baselines}
        known |= {name: f"reference:{name}" for name in shipped()}
        if target in known:
            return f"There is no file '{target}'. Did you mean {known[target]}?"
        if "Did you mean" in nearest(target, known):
            name = difflib.get_close_matches(target, known, n=1, cutoff=0.5)[0]
            return f"There is no file '{target}'. Did you mean {known[name]}?"
    return f"{missing(path)}\n`physbench models list` shows what can be evaluated."


def _folder(path: Path) -> str:
    names = sorted(entry.name for entry in path.iterdir())
    ours = [name for name in names if looks_like_tensors(path / name)]
    if ours:
        return f"{path} is a folder. Did you mean {' or '.join(str(path / name) for name in ours[:3])}?"
    if "manifest.json" in names:
        return f"{path} is a run folder, not a model. `physbench report {path}` shows it."
    if any(name.lower().endswith(VIDEOS) for name in names):
        return (
            f"{path} is a folder of videos: give videos:{path}, with the answer.json of `physbench data export` in it."
        )
    if "model_index.json" in names:
        kind = "a diffusers pipeline"
    elif "config.json" in names:
        kind = "a transformers model"
    else:
        shown = ", ".join(names[:4]) or "nothing"
        return f"{path} is a folder with {shown} in it: no model that this version knows. {WRAP}"
    return f"{path} is {kind}, which this version does not load by itself.\n{WRAP}"


def _file(path: Path, start: bytes) -> str:
    if not start:
        return f"{path} is empty. Download or copy it again."
    if start.startswith(b"PK"):
        return _zip(path)
    if looks_like_pickle(start):
        with path.open("rb") as file:
            return _pickle(path, [file.read(LARGEST)])
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull`."
    for offset, magic, kind in MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return f"{path} is {kind}, not a model. {SAFE}"
    if start.startswith(PROTOBUF_ONNX) and (path.suffix == ".onnx" or b"onnx" in start or b"pytorch" in start):
        return f"{path} is an ONNX graph, which this version does not load by itself.\n{WRAP}"
    if b"\0" not in start:
        return _text(path, start)
    if path.suffix == ".safetensors":
        return f"{path} is corrupt: it does not start like a .safetensors file. Download or copy it again."
    return f"{path} is of no kind that this version knows. {SAFE}"


def _text(path: Path, start: bytes) -> str:
    head = start.lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return f"{path} is a web page, not a model: the download needs a login or another address."
    if path.suffix == ".py" or head.startswith((b"import ", b"from ", b"#!/usr/bin/env python")):
        return f"{path} is Python code: say which function makes the model, as in {path}:make."
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # else a character cut at the end of what was read
            return f"{path} is of no kind that this version knows. {SAFE}"
    return f"{path} is a text file, not a model. {SAFE}"


def _zip(path: Path) -> str:
    parts = pickled_parts(path)
    if parts is None:
        return f"{path} is truncated or corrupt: it starts like a zip file and does not end like one. Copy it again."
    with zipfile.ZipFile(path) as archive:
        names = [name.split("/", 1)[-1] for name in archive.namelist()]
    if any("serialized_exported_program" in name or name == "archive_format" for name in names):
        return f"{path} is a torch.export program: loading it would run code, so it is refused.\n{SAFE}"
    if any(name.startswith("code/") for name in names):
        return f"{path} is a TorchScript program: loading it would run code, so it is refused.\n{SAFE}"
    if not parts:
        return f"{path} is a zip archive without a checkpoint in it. {SAFE}"
    return _pickle(path, parts)


def _pickle(path: Path, parts: list[bytes]) -> str:
    try:
        names = set().union(*(globals_of(part) for part in parts))
    except NotAPickle:
        return f"{path} is a truncated or corrupt pickle. Download or copy it again."
    bad = offending(names)
    if bad:
        shown = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        return f"{path} is a pickle that would run code when it is loaded ({shown}): refused.\n{SAFE}"
    schemes = ", ".join(entry_points.entries("physbench.architectures"))
    return (
        f"{path} is a checkpoint of plain tensors that does not say which architecture reads it. {WRAP}\n"
        f"Or save the tensors as .safetensors with the metadata key '{KEY}' (architectures here: {schemes})."
    )
