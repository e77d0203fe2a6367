"""Models from .safetensors: the metadata names an architecture of the entry-point group `physbench.architectures`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.adapters.model_protocol import Model, ModelCard
from physbench.adapters.tensor_file import hash_tensors, looks_like_safetensors, read_checkpoint, read_header
from physbench.errors import ModelError, PhysbenchError, nearest
from physbench.plugins import entry_points
from physbench.plugins.tracebacks import describe_error

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ARCHITECTURE_GROUP = "physbench.architectures"
MAX_TENSORS_NAMED = 3  # tensors, in a message


def shipped_checkpoints() -> dict[str, Path]:
    """Paths of the checkpoints that come with the package, by name."""
    folder = Path(str(resources.files("physbench.reference"))) / "checkpoints"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def compare_tensors(
    expected: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]], where: str = "The checkpoint"
) -> None:
    """Compare tensors by name and shape, for architectures to call.

    Args:
        expected: Shapes by name, of the network.
        got: Shapes by name, of the checkpoint.
        where: Start of the message.

    Raises:
        ModelError: Tensors are missing, unexpected or of another shape. The message names them.
    """
    missing = sorted(set(expected) - set(got))
    unexpected = sorted(set(got) - set(expected))
    wrong = [
        f"{name} {tuple(got[name])} instead of {tuple(expected[name])}"
        for name in sorted(expected)
        if name in got and tuple(got[name]) != tuple(expected[name])
    ]
    faults = [
        f"{words} {', '.join(names[:MAX_TENSORS_NAMED])}"
        + (f" and {len(names) - MAX_TENSORS_NAMED} more" * (len(names) > 3))
        for words, names in (("lacks", missing), ("has the unknown", unexpected), ("has", wrong))
        if names
    ]
    if faults:
        raise ModelError(f"{where} {'; '.join(faults)}. Do its tensors belong to its architecture and config?")


def _load(path: Path, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
    header = read_header(path)
    checkpoint = read_checkpoint(path, header)
    if model_args:
        raise ModelError(
            f"--model-arg {next(iter(model_args))}: a checkpoint takes no arguments, as its metadata holds them."
        )
    _refuse_unknown(checkpoint.architecture, path)
    architecture: Any = entry_points.load(ARCHITECTURE_GROUP, checkpoint.architecture)

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Download or copy it again.") from None
    try:
        model: Model = architecture.load(tensors, checkpoint.config, checkpoint.card, device=device, dtype=dtype)
        return model
    except PhysbenchError as error:
        raise ModelError(f"{path}: {error}") from error
    except KeyError as error:
        raise ModelError(
            f"{path}: the architecture '{checkpoint.architecture}' needs {error}, which is missing."
        ) from error
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        description = (
            " ".join(lines[1:3]) if isinstance(error, RuntimeError) and len(lines) > 1 else describe_error(error)
        )
        raise ModelError(
            f"{path} does not fit the architecture '{checkpoint.architecture}': {description[:300]}"
        ) from error


def _refuse_unknown(architecture: str, path: Path) -> None:
    known = entry_points.entries(ARCHITECTURE_GROUP)
    if architecture not in known:
        raise ModelError(f"{path}: there is no architecture '{architecture}' here.{nearest(architecture, known)}")


class _CheckpointAdapter:
    """The common part of both adapters, once the file is found."""

    def _path(self, target: str) -> Path:
        raise NotImplementedError

    def check(self, target: str) -> None:
        path = self._path(target)
        _refuse_unknown(read_checkpoint(path).architecture, path)  # imported by the model's process alone: torch

    def sha256(self, target: str) -> str | None:
        return hash_tensors(self._path(target))

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        return _load(self._path(target), device, dtype, model_args)


class SafetensorsAdapter(_CheckpointAdapter):
    """A .safetensors file with the metadata key of physbench, whatever its name."""

    name = "safetensors"
    summary = "path/to/checkpoint.safetensors  a checkpoint of a known architecture"

    def recognises(self, target: str) -> bool:
        path = Path(target)
        return path.is_file() and looks_like_safetensors(path)

    def _path(self, target: str) -> Path:
        scheme, _, rest = target.partition(":")
        path = Path(rest) if scheme == self.name and not Path(target).exists() else Path(target)
        if not path.is_file():
            from physbench.adapters.unrecognised import describe_unrecognised

            raise ModelError(describe_unrecognised(str(path)))
        return path

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return []


class ReferenceAdapter(_CheckpointAdapter):
    """A checkpoint that comes with the package."""

    name = "reference"
    summary = "reference:NAME  a checkpoint that comes with physbench"

    def recognises(self, target: str) -> bool:
        return target.startswith("reference:")

    def _path(self, target: str) -> Path:
        name = target.partition(":")[2]
        known = shipped_checkpoints()
        if name in known:
            return known[name]
        if name in entry_points.entries(ARCHITECTURE_GROUP):
            raise ModelError(
                f"{target}: no checkpoint of '{name}' comes with this version. Make one with `physbench train {name}` "
                "and evaluate its path."
            )
        raise ModelError(
            f"There is no reference model '{name}'.{nearest(name, [*known, *entry_points.entries(ARCHITECTURE_GROUP)])}"
        )

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        found: list[tuple[str, ModelCard | None, str]] = []
        for name, path in shipped_checkpoints().items():
            checkpoint = read_checkpoint(path)
            size = f"{path.stat().st_size / 1e3:,.0f} kB"
            found.append((f"reference:{name}", checkpoint.card, f"{checkpoint.architecture}, {size}"))
        return found


safetensors_adapter = SafetensorsAdapter()
reference_adapter = ReferenceAdapter()
