"""Reads which globals a pickle would import, without unpickling anything."""

from __future__ import annotations

import io
import itertools
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physbench.support.files import DAMAGED_ARCHIVE

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


def imported_globals(data: bytes) -> set[str]:
    """Names "module.name" that the pickles in `data` would import. Raises NotAPickle.

    torch's old format is several pickles in a row, then raw numbers.
    """
    stream = io.BytesIO(data)
    names: set[str] = set()
    for _ in range(BOUNDS.pickles):
        names |= _globals_of_next(stream)
        start = data[stream.tell() : stream.tell() + 2]
        if not looks_like_pickle(start):
            break
    return names


def _globals_of_next(stream: io.BytesIO) -> set[str]:
    """Globals of one pickle. What its instructions do to the stack is followed as `pickletools.dis` follows it."""
    names: set[str] = set()
    stack: list[Any] = []  # texts, STACK_MARK, and None for all else
    memo: dict[int, Any] = {}
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number == BOUNDS.instructions:
                raise NotAPickle(f"it has more than {BOUNDS.instructions:,} instructions")
            name = opcode.name
            if name in ("GLOBAL", "INST"):
                names.add(str(argument).replace(" ", "."))
            elif name == "STACK_GLOBAL":
                parts = stack[-2:]
                named = len(parts) == 2 and all(isinstance(part, str) for part in parts)
                names.add(".".join(parts) if named else "unknown")
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[int(argument or 0)] = stack[-1]
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            _follow(opcode, argument, stack, memo)
    except Exception as error:  # pickletools raises whatever the bytes lead to
        raise NotAPickle(str(error)) from None
    return names


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


def pickled_texts(data: bytes) -> set[str]:
    """The texts in the pickles in `data`, names of tensors among them. Raises NotAPickle."""
    stream = io.BytesIO(data)
    texts: set[str] = set()
    try:
        for _ in range(BOUNDS.pickles):
            # the opcodes of a large network are a tenth of that
            for opcode, argument, _ in itertools.islice(pickletools.genops(stream), 500_000):
                if "UNICODE" in opcode.name:
                    texts.add(str(argument))
            if not looks_like_pickle(data[stream.tell() : stream.tell() + 2]):
                break
    except Exception as error:  # pickletools raises whatever the bytes lead to
        raise NotAPickle(str(error)) from None
    return texts


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
        _globals_of_next(stream := io.BytesIO(data))
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
