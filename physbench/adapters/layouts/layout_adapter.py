"""What the adapters of checkpoints in others' layouts have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.adapters.checkpoints import compare_tensors
from physbench.adapters.factory_arguments import factory_arguments
from physbench.adapters.model_protocol import Model, ModelCard
from physbench.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def load_named(
    net: nn.Module, tensors: Mapping[str, Tensor], names: Mapping[str, str], where: str, prefix: str = ""
) -> None:
    """Load tensors into a network through a table of names.

    Args:
        net: The network.
        tensors: All tensors of the network, by the names that the checkpoint gives them, without `prefix`.
        names: Their name of each of the network's modules and parameters.
        where: Start of the message.
        prefix: What the file puts before all names, for the message.

    Raises:
        ModelError: Tensors are missing, unexpected or of another shape. The message has their names in the file.
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


class LayoutAdapter:
    """An adapter of files that are recognised by the names of the tensors in them."""

    name: str
    summary: str
    make: Callable[..., Model]  # (path, *, device, dtype, ...): the other arguments come from --model-arg

    def belongs(self, path: Path) -> bool:
        """Whether the file or folder is in this layout, by the names in it."""
        raise NotImplementedError

    def files(self, path: Path) -> list[Path]:
        """The files that decide the answers. Raises ModelError that says why the model cannot be used."""
        raise NotImplementedError

    def _path(self, target: str) -> Path:
        scheme, _, rest = target.partition(":")
        return Path(rest if scheme == self.name and not Path(target).exists() else target)

    def recognises(self, target: str) -> bool:
        return self.belongs(self._path(target))

    def check(self, target: str) -> None:
        path = self._path(target)
        if not self.belongs(path):
            from physbench.adapters.unrecognised import describe_unrecognised

            raise ModelError(describe_unrecognised(str(path)))
        self.files(path)

    def sha256(self, target: str) -> str | None:
        digest = hashlib.sha256()
        for path in self.files(self._path(target)):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return []

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        path = self._path(target)
        self.files(path)
        make = type(self).make
        arguments: dict[str, Any] = factory_arguments(make, model_args, str(path))
        return make(path, device=device, dtype=dtype, **arguments)
