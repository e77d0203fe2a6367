"""Reads which globals a pickle would import, without unpickling anything."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path

# What torch itself writes into a checkpoint of plain tensors; everything else would run code of somebody's.
HARMLESS = {
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
LARGEST = 64 * 2**20  # bytes of pickle that are looked at


class NotAPickle(Exception):
    """The bytes cannot be read as a pickle to its end."""


def globals_of(data: bytes) -> set[str]:
    """Names "module.name" that the first pickle in `data` would import. Raises NotAPickle."""
    found: set[str] = set()
    texts: list[str] = []  # the last ones pushed: STACK_GLOBAL takes two
    memo: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name == "GLOBAL" or name == "INST":
                found.add(str(argument).replace(" ", "."))
            elif name == "STACK_GLOBAL":
                found.add(".".join(texts[-2:]) if len(texts) > 1 else "unknown")
            elif "UNICODE" in name or name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
                texts.append(str(argument))
            elif name == "MEMOIZE" and texts:
                memo.append(texts[-1])
            elif name in ("BINGET", "LONG_BINGET", "GET") and isinstance(argument, int) and argument < len(memo):
                texts.append(memo[argument])
    except Exception as error:  # pickletools raises whatever the bytes lead to
        raise NotAPickle(str(error)) from None
    return found


def offending(names: set[str]) -> list[str]:
    """Those of the names that are not part of plain tensors."""
    return sorted(name for name in names if name not in HARMLESS and not _is_torch_type(name))


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
    """Protocol 2 or later; older ones are text and start with an opcode that ends in a line."""
    return len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5


def pickled_parts(path: Path) -> list[bytes] | None:
    """The pickles inside a zip file (data.pkl and the like), or None if it is no readable zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            return [archive.open(name).read(LARGEST) for name in names]
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError):
        return None
