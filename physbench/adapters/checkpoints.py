"""Models from .safetensors: the metadata names an architecture of the entry-point group `physbench.architectures`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.adapters.model_protocol import Model, ModelCard
from physbench.adapters.tensor_file import (
    METADATA_KEY,
    find_index,
    hash_tensors,
    index_metadata,
    index_of_shard,
    looks_like_safetensors,
    read_checkpoint,
    read_header,
)
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


# What wraps a network, by a word in front of the names that its tensors then have.
WRAPPERS = {
    "_orig_mod": "torch.compile",
    "module": "DataParallel",
    "model": "a module around the network, as Lightning has",
    "ema": "a running mean of weights",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "a checkpoint wrapper",
}
UNWRAPPED = re.compile(r"\b(_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")  # within a name


def prefix_words(expected: Iterable[str], got: Iterable[str]) -> str:
    """Says that names of tensors are those that are expected but for a prefix, and how they lose it; "" otherwise.

    Args:
        expected: Names that the network has, or those of them that are missing.
        got: Names in the checkpoint, or those of them that the network does not have.
    """
    wanted, there = set(expected), set(got)
    if not wanted or not there:
        return ""
    first = min(wanted, key=lambda name: (-len(name), name))
    behind = sorted(name.removesuffix(first) for name in there if name.endswith(f".{first}"))
    if fitting := [prefix for prefix in behind if all(prefix + name in there for name in wanted)]:
        return _behind(fitting)
    last = min(there, key=lambda name: (-len(name), name))
    lost = sorted(name.removesuffix(last) for name in wanted if name.endswith(f".{last}"))
    for prefix in lost:
        if {prefix + name for name in there} == wanted:
            return (
                f"Only the prefix {prefix} differs, which the file lacks. Load them into the network "
                f'inside, or rename: {{"{prefix}" + name: tensor for name, tensor in tensors.items()}}.'
            )
    if wanted <= {UNWRAPPED.sub("", name) for name in there}:
        found = next(match for name in sorted(there) if (match := UNWRAPPED.search(name)))[0]
        return (
            f"Only {found} within their names differs{_by(found)}. Save them without it, or rename: "
            f'{{name.replace("{found}", ""): tensor for name, tensor in tensors.items()}}.'
        )
    return ""


def _behind(prefixes: Sequence[str]) -> str:
    """Says behind which prefixes a checkpoint holds all tensors of a network, once or several times."""
    first = prefixes[0]
    rename = (
        f'{{name.removeprefix("{first}"): tensor for name, tensor in tensors.items() if name.startswith("{first}")}}'
    )
    if len(prefixes) > 1:
        return f"Only a prefix differs: they are there behind {' and '.join(prefixes)} each. Choose one: {rename}."
    return f"Only the prefix {first} differs{_by(first)}. Save them without it, or rename: {rename}."


def _by(prefix: str) -> str:
    """Where a prefix comes from, if that is known: "module._orig_mod." from both."""
    known = [by for word, by in WRAPPERS.items() if word in prefix.split(".")]
    return f", which comes from {' and '.join(known)}" if known else ""


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
        words = prefix_words(missing, unexpected) or "Do its tensors belong to its architecture and config?"
        raise ModelError(f"{where} {'; '.join(faults)}. {words}")


def state_dict_words(error: BaseException) -> str:
    """As `prefix_words`, for what `load_state_dict` of a network raises; "" for any other error."""
    if not isinstance(error, RuntimeError) or "loading state_dict" not in str(error):
        return ""
    found = {}
    for kind in ("Missing", "Unexpected"):
        listed = re.search(rf"{kind} key\(s\) in state_dict: (.*?)\. *$", str(error), re.MULTILINE)
        found[kind] = re.findall(r'"([^"]+)"', listed[1]) if listed else []
    return prefix_words(found["Missing"], found["Unexpected"])


def _load(path: Path, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
    header = read_header(path)
    checkpoint = read_checkpoint(path, header)
    files = sorted({info.file for info in header.tensors.values()})
    _refuse_arguments(model_args)
    _refuse_unknown(checkpoint.architecture, path)
    architecture: Any = entry_points.load(ARCHITECTURE_GROUP, checkpoint.architecture)

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = {name: each for file in files for name, each in load_file(str(file)).items()}
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
        words = state_dict_words(error)
        raise ModelError(
            f"{path} does not fit the architecture '{checkpoint.architecture}': {description[:300]}"
            + (f"\n{words}" if words else "")
        ) from error


def _refuse_arguments(model_args: Mapping[str, str]) -> None:
    if model_args:
        raise ModelError(
            f"--model-arg {next(iter(model_args))}: a checkpoint takes no arguments, as its metadata holds them."
        )


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
    """A .safetensors file with the metadata key of physbench, whatever its name, or several of them with an index."""

    name = "safetensors"
    summary = "path/to/checkpoint.safetensors  a checkpoint of a known architecture"

    def recognises(self, target: str) -> bool:
        path = Path(target)
        if index := find_index(path):  # that of a folder with a config belongs to another library, unless it says more
            return path.is_file() or not (path / "config.json").exists() or METADATA_KEY in index_metadata(index)
        return path.is_file() and looks_like_safetensors(path)

    def _path(self, target: str) -> Path:
        scheme, _, rest = target.partition(":")
        path = Path(rest) if scheme == self.name and not Path(target).exists() else Path(target)
        if index := find_index(path):
            return index
        if index := index_of_shard(path):
            raise ModelError(f"{path} is one of several files of one checkpoint. Give their index: {index}")
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


class UntrainedAdapter(ReferenceAdapter):
    """The same architecture as a checkpoint that comes with the package, its weights as before any training."""

    name = "untrained"
    summary = "untrained:NAME  reference:NAME with weights as before any training, to see what training has brought"

    def recognises(self, target: str) -> bool:
        return target.startswith(f"{self.name}:")

    def sha256(self, target: str) -> str | None:
        return None  # torch draws the weights

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return []  # those of `reference:`

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        import torch

        from physbench.adapters.untrained_copy import UNTRAINED_SEED

        _refuse_arguments(model_args)
        checkpoint = read_checkpoint(self._path(target))
        card = replace(
            checkpoint.card, name=f"{checkpoint.card.name} untrained", track="zero-shot", training_clips=None
        )
        architecture: Any = entry_points.load(ARCHITECTURE_GROUP, checkpoint.architecture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(UNTRAINED_SEED)
            net = architecture.net(architecture.checked(checkpoint.config))
        model: Model = architecture.wrap(net.to(device), card, device, dtype)
        return model


safetensors_adapter = SafetensorsAdapter()
reference_adapter = ReferenceAdapter()
untrained_adapter = UntrainedAdapter()
