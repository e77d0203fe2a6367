"""Reads which globals a pickle would import, without unpickling anything."""

from __future__ import annotations

import io
import itertools
import pickletools
import zipfile
import zlib
from pathlib import Path

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
MAX_PICKLES = 5
MAX_ZIP_PICKLES = 16  # files in one zip file; torch writes one
MAX_PICKLE_BYTES = 64 * 2**20  # read of one pickle
MAX_OPCODES = 500_000  # read of one pickle for the texts in it: those of a large network are a tenth of that


class NotAPickle(Exception):
    """The bytes are not a complete pickle."""


def imported_globals(data: bytes) -> set[str]:
    """Names "module.name" that the pickles in `data` would import. Raises NotAPickle.

    torch's old format is several pickles in a row, then raw numbers.
    """
    stream = io.BytesIO(data)
    found: set[str] = set()
    for _ in range(MAX_PICKLES):
        found |= _globals_of_next(stream)
        start = data[stream.tell() : stream.tell() + 2]
        if not looks_like_pickle(start):
            break
    return found


def _globals_of_next(stream: io.BytesIO) -> set[str]:
    found: set[str] = set()
    texts: list[str] = []  # the last ones pushed: STACK_GLOBAL takes two
    memo: dict[int, str] = {}
    memoized = 0
    last: str | None = None  # the text that the last opcode pushed
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            name = opcode.name
            pushed = None
            if name in ("GLOBAL", "INST"):
                found.add(str(argument).replace(" ", "."))
            elif name == "STACK_GLOBAL":
                found.add(".".join(texts[-2:]) if len(texts) > 1 else "unknown")
            elif "UNICODE" in name or name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
                pushed = str(argument)
            elif name == "MEMOIZE":
                if last is not None:
                    memo[memoized] = last
                memoized += 1
            elif name in ("PUT", "BINPUT", "LONG_BINPUT") and last is not None and argument is not None:
                memo[int(argument)] = last
            elif name in ("GET", "BINGET", "LONG_BINGET") and argument is not None:
                pushed = memo.get(int(argument))
            if pushed is not None:
                texts.append(pushed)
            last = pushed
    except Exception as error:  # pickletools raises whatever the bytes lead to
        raise NotAPickle(str(error)) from None
    return found


def pickled_texts(data: bytes) -> set[str]:
    """The texts in the pickles in `data`, names of tensors among them. Raises NotAPickle."""
    stream = io.BytesIO(data)
    found: set[str] = set()
    try:
        for _ in range(MAX_PICKLES):
            for opcode, argument, _ in itertools.islice(pickletools.genops(stream), MAX_OPCODES):
                if "UNICODE" in opcode.name:
                    found.add(str(argument))
            if not looks_like_pickle(data[stream.tell() : stream.tell() + 2]):
                break
    except Exception as error:  # pickletools raises whatever the bytes lead to
        raise NotAPickle(str(error)) from None
    return found


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


def looks_like_pickle(start: bytes) -> bool:
    """Whether bytes start a pickle of protocol 2 to 5. Older ones are text without a signature."""
    return len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5


def pickles_in_zip(path: Path) -> list[bytes] | None:
    """The pickles inside a zip file (data.pkl and the like), or None if it cannot be read as a zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            return (
                [archive.open(name).read(MAX_PICKLE_BYTES) for name in names] if len(names) <= MAX_ZIP_PICKLES else None
            )
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, EOFError, ValueError):
        return None
