"""Checkpoints in others' layouts: what their adapters share, and reading what torch.save wrote."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.models import unrecognised
from physbench.models.adapter import Adapter, without_scheme
from physbench.models.protocol import Model
from physbench.models.python_code import factory_arguments
from physbench.models.safetensors_files import compare_tensors
from physbench.models.unrecognised import HINT_WRAP, describe_unrecognised
from physbench.support.errors import ModelError
from physbench.support.files import file_sha256

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# Reads checkpoints that torch.save wrote, in both of its formats: names without torch, tensors with weights_only.


@dataclass(frozen=True)
class PickledNames:
    """Names in a checkpoint before it is loaded."""

    texts: frozenset[str]  # keys of its tables, names of tensors among them
    plain: bool  # it holds tensors and plain values only


NO_NAMES = PickledNames(frozenset(), False)


def names_in(path: Path) -> PickledNames:
    """The texts in a checkpoint; none if the file is no pickle. Nothing is unpickled."""
    try:
        status = path.stat()
        return _names_in(path, status.st_size, status.st_mtime_ns) if path.is_file() else NO_NAMES
    except (OSError, ValueError):  # such as a zero byte in the path
        return NO_NAMES


@lru_cache(maxsize=32)
def _names_in(path: Path, size: int, changed: int) -> PickledNames:
    with path.open("rb") as file:
        start = file.read(4)
        if unrecognised.looks_like_pickle(start):
            parts = [start + file.read(unrecognised.BOUNDS.bytes)]
        elif start.startswith(b"PK"):
            parts = unrecognised.pickles_in_zip(path) or []
        else:
            parts = []
    try:
        content = unrecognised.read_pickles(parts)
    except unrecognised.NotAPickle:
        return NO_NAMES
    return PickledNames(frozenset(content.texts), bool(parts) and not unrecognised.unsafe_globals(content.names))


def read_document(path: Path) -> Mapping[str, Any]:
    """The dictionary in a checkpoint, with its tensors on the CPU.

    Raises ModelError: the file is damaged, would run code, or holds something else.
    """
    import torch

    try:
        document = torch.load(path, map_location="cpu", weights_only=True, mmap=unrecognised.is_zip(path) or None)
    except pickle.UnpicklingError as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path} is refused, as loading it would run code ({first[:200]}).\n{HINT_WRAP}") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path} cannot be read ({first[:200]}). Download or copy it again.") from None
    if not isinstance(document, Mapping):
        raise ModelError(f"{path} holds a {type(document).__name__}, not a dictionary of tensors.\n{HINT_WRAP}")
    return document


def load_named(
    net: nn.Module, tensors: Mapping[str, Tensor], names: Mapping[str, str], where: str, prefix: str = ""
) -> None:
    """Load tensors into a network through a table of names.

    Args:
        tensors: All tensors of the network, by the names that the checkpoint gives them, without `prefix`.
        names: Their name of each of the network's modules and parameters.
        where: Start of the message.
        prefix: What the file puts before all names, for the message.

    Raises ModelError: tensors are missing, unexpected or of another shape. The message has their names in the file.
    """
    theirs = {own: their_name(own, names) for own in net.state_dict()}
    compare_tensors(
        {prefix + theirs[own]: tuple(tensor.shape) for own, tensor in net.state_dict().items()},
        {prefix + name: tuple(tensor.shape) for name, tensor in tensors.items()},
        where,
    )
    net.load_state_dict({own: tensors[name] for own, name in theirs.items()})


def their_name(own: str, names: Mapping[str, str]) -> str:
    """The checkpoint's name of one of our tensors: that of the tensor, or of its module with the last word kept."""
    module, _, last = own.rpartition(".")
    return names[own] if own in names else f"{names[module]}.{last}"


class LayoutAdapter(Adapter):
    """An adapter of files that are recognised by the names of the tensors in them."""

    make: Callable[..., Model]  # (path, *, device, dtype, ...): the other arguments come from --model-arg

    def belongs(self, path: Path) -> bool:
        """True if the file or folder is in this layout, by the names in it."""
        raise NotImplementedError

    def files(self, path: Path) -> list[Path]:
        """The files that decide the answers. Raises ModelError that says why the model cannot be used."""
        raise NotImplementedError

    def _path(self, target: str) -> Path:
        return Path(without_scheme(target, self.name))

    def recognises(self, target: str) -> bool:
        return self.belongs(self._path(target))

    def check(self, target: str) -> None:
        path = self._path(target)
        if not self.belongs(path):
            raise ModelError(describe_unrecognised(str(path)))
        self.files(path)

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        factory_arguments(type(self).make, model_args, str(self._path(target)))

    def sha256(self, target: str) -> str | None:
        digest = hashlib.sha256()
        for path in self.files(self._path(target)):
            digest.update(bytes.fromhex(file_sha256(path)))
        return digest.hexdigest()

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        path = self._path(target)
        self.files(path)
        make = type(self).make
        arguments: dict[str, Any] = factory_arguments(make, model_args, str(path))
        return make(path, device=device, dtype=dtype, **arguments)
