"""Models from .safetensors: the file with its document, and the architecture that the document names."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.models.adapter import Adapter, describe_missing_path, refuse_arguments, without_scheme
from physbench.models.protocol import CARDS, Model, ModelCard, card_fields, check_card_types, stated_fields
from physbench.support import plugins
from physbench.support.errors import ModelError, PhysbenchError, nearest
from physbench.support.plugins import describe_error

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Reads and writes .safetensors files with the metadata key "physbench", which holds a JSON document.
#
# A large checkpoint may lie in several files, its shards, beside an index that says which tensor is in which of them.
#
# Reading takes no torch. The document:
#
# {"architecture": "objects", "config": {...}, "card": {...}, "training": {...}}

METADATA_KEY = "physbench"
INDEX_END = ".safetensors.index.json"  # of the name of an index
COPY_AGAIN = "Download or copy it again."


@dataclass(frozen=True)
class FileBounds:
    """The most that a file may hold, and a message names."""

    header_bytes: int = 100_000_000  # bytes, the format's own bound
    tensors: int = 100_000
    tensors_named: int = 3  # tensors, in a message


BOUNDS = FileBounds()


# All others take one byte.
DTYPE_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}


@dataclass(frozen=True)
class TensorInfo:
    """Type, shape and position in its file of one tensor."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int  # bytes in the file
    stop: int


@dataclass(frozen=True)
class TensorHeader:
    """The header of a .safetensors file, or those of all shards together."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """The document in the metadata key, parsed."""

    architecture: str
    config: dict[str, Any]
    card: ModelCard
    training: dict[str, Any]


def looks_like_safetensors(path: Path) -> bool:
    """True if the file starts like a .safetensors file."""
    try:
        with path.open("rb") as file:
            start = file.read(10)
    except OSError:
        return False
    return len(start) == 10 and 2 <= int.from_bytes(start[:8], "little") <= BOUNDS.header_bytes and start[8:9] == b"{"


def find_index(path: Path) -> Path | None:
    """The index of a checkpoint in shards: `path` itself, or the only one in a folder; None where there is none."""
    if path.name.endswith(INDEX_END) and path.is_file():
        return path
    indices = sorted(path.glob(f"*{INDEX_END}")) if path.is_dir() else []
    return indices[0] if len(indices) == 1 else None


def describe_checkpoints(path: Path, names: Sequence[str]) -> str:
    """The message for a folder in which checkpoints are among the `names`, but no index; "": there is none."""
    checkpoints = [name for name in names if looks_like_safetensors(path / name)]
    shards = [name for name in checkpoints if re.search(r"-\d+-of-\d+\.safetensors$", name)]
    if shards and find_index(path) is None:
        return (
            f"{path} holds {len(shards)} files of a checkpoint in shards ({shards[0]}) without their index, "
            f"model{INDEX_END}. Copy it there, too."
        )
    checkpoints = [str(path / name) for name in checkpoints if name not in shards]
    return f"{path} is a folder. Did you mean {' or '.join(checkpoints[:3])}?" if checkpoints else ""


def index_of_shard(path: Path) -> Path | None:
    """The index beside a file that names it as one of its shards."""
    for index in sorted(path.parent.glob(f"*{INDEX_END}")) if path.is_file() else []:
        try:
            if path.name in read_index(index)[0].values():
                return index
        except ModelError:
            continue
    return None


def index_metadata(index: Path) -> dict[str, str]:
    """The metadata of a checkpoint in shards, of its index and of these; empty where they cannot be read."""
    try:
        return read_header(index).metadata
    except ModelError:
        return {}


def read_index(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The shard of each tensor, a file beside the index, and the texts of its metadata. Raises ModelError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        shards, metadata = document["weight_map"], document.get("metadata") or {}
        if not shards or not all(isinstance(each, str) and Path(each).name == each for each in shards.values()):
            raise ValueError("weight_map: expected the name of a file beside it for each tensor")
        return dict(shards), {key: text for key, text in metadata.items() if isinstance(text, str)}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is no index of a checkpoint in shards ({error}). {COPY_AGAIN}") from None


def _read_shards(path: Path) -> TensorHeader:
    """The headers of all shards of an index. Raises ModelError where they are not those that it was written for."""
    shards, metadata = read_index(path)
    names = sorted(set(shards.values()))
    if absent := [name for name in names if not (path.parent / name).is_file()]:
        raise ModelError(
            f"{path}: {len(absent)} of the {len(names)} files that it names are not there (the first is {absent[0]}): "
            "was the download finished?"
        )
    tensors: dict[str, TensorInfo] = {}
    for name in names:
        header = read_header(path.parent / name)
        tensors |= header.tensors
        metadata |= header.metadata
    if wrong := sorted(set(shards) - set(tensors)):
        raise ModelError(f"{path} names {wrong[0]}, which none of its files holds: of another save. {COPY_AGAIN}")
    return TensorHeader(tensors, metadata)


def read_header(path: Path) -> TensorHeader:
    """Read and check the header against the file's length; of an index those of all its shards. Raises ModelError."""
    if path.name.endswith(INDEX_END):
        return _read_shards(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ModelError(f"{path} is not a file. {COPY_AGAIN}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(min(length, BOUNDS.header_bytes))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    if len(text) < length:
        raise ModelError(f"{path} is truncated: its header needs {8 + length} bytes, the file has {size}. {COPY_AGAIN}")
    if text.count(b'"data_offsets"') > BOUNDS.tensors:  # parsed, they would take fifteen times the bytes of the text
        raise ModelError(
            f"{path} holds more than {BOUNDS.tensors:,} tensors, more than any network of this version has."
        )
    try:
        document = json.loads(text)
        metadata = document.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata is not a table of strings")
        tensors = {
            name: TensorInfo(
                path,
                entry["dtype"],
                tuple(entry["shape"]),
                8 + length + entry["data_offsets"][0],
                8 + length + entry["data_offsets"][1],
            )
            for name, entry in document.items()
        }
        for name, info in tensors.items():
            if info.start < 8 + length or info.stop < info.start or any(side < 0 for side in info.shape):
                raise ValueError(f"tensor {name!a:.60} lies before the data")
            if info.stop - info.start != math.prod(info.shape) * DTYPE_BYTES.get(info.dtype, 1):
                raise ValueError(f"the bytes of tensor {name} do not match its shape")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError(f"{path} is corrupt: its header cannot be read ({error}). {COPY_AGAIN}") from None
    end = max([info.stop for info in tensors.values()], default=8 + length)
    if size != end:
        what = "is truncated" if size < end else "is corrupt"
        raise ModelError(f"{path} {what}: its header describes {end} bytes, the file has {size}. {COPY_AGAIN}")
    return TensorHeader(tensors, metadata)


def read_checkpoint(path: Path, header: TensorHeader | None = None) -> Checkpoint:
    """Read the document in the metadata key. Raises ModelError that names what is missing or invalid."""
    header = header or read_header(path)
    if METADATA_KEY not in header.metadata:
        keys = ", ".join(sorted(header.metadata)) or "none"
        raise ModelError(
            f"{path} holds {len(header.tensors)} tensors but no metadata key '{METADATA_KEY}' (keys: {keys}) that says "
            "which architecture reads them.\nWrap it in a few lines of Python instead: physbench eval my_model.py:make"
        )
    try:
        document = json.loads(header.metadata[METADATA_KEY])
        architecture, config, training = document["architecture"], document["config"], document.get("training", {})
        card = document["card"]
        if not isinstance(architecture, str) or not isinstance(config, dict) or not isinstance(card, dict):
            raise TypeError("architecture is a string, config and card are tables")
    except KeyError as error:
        raise ModelError(f"{path}: its metadata lacks {error}; expected architecture, config and card.") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: its metadata cannot be read ({error}).") from None
    known = read_card(card, str(path))
    return Checkpoint(architecture, config, _with_clips(known, training), training)


def _with_clips(card: ModelCard, training: Any) -> ModelCard:
    """The card with the number of training clips that the training wrote down, where the card does not state one."""
    clips = training.get("clips") if isinstance(training, dict) else None
    if card.training_clips is not None or card.track != "trained" or type(clips) is not int or clips < 1:
        return card
    return replace(card, training_clips=clips)


def read_card(document: Mapping[str, Any], where: str) -> ModelCard:
    """A card of any kind from JSON."""
    try:
        kind, values = card_fields(document)
    except KeyError as error:
        raise ModelError(f"{where}: its card has answers={error!s:.60}. Expected {' or '.join(CARDS)}.") from None
    known = [field.name for field in fields(kind) if field.init]
    for key in values:
        if key not in known:
            raise ModelError(f"{where}: its card has an unknown field {key!a:.60}.{nearest(key, known)}")
    needed = [field.name for field in fields(kind) if field.init and field.default is MISSING]
    if missing := [name for name in needed if name not in values]:
        raise ModelError(f"{where}: its card lacks {', '.join(missing)}.")
    return check_card_types(kind(**values), where)


def hash_tensors(path: Path) -> str:
    """Hash of tensors and metadata, which, unlike the bytes of the file, is the same after every save."""
    header = read_header(path)
    digest = hashlib.sha256(json.dumps(_canonical(header.metadata), sort_keys=True).encode())
    with contextlib.ExitStack() as stack:
        files = {each: stack.enter_context(each.open("rb")) for each in {info.file for info in header.tensors.values()}}
        for name, info in sorted(header.tensors.items()):
            digest.update(f"\n{name} {info.dtype} {list(info.shape)}\n".encode())
            files[info.file].seek(info.start)
            left = info.stop - info.start
            while left:
                block = files[info.file].read(min(left, 1 << 22))
                if not block:
                    raise ModelError(f"{info.file} is truncated. {COPY_AGAIN}")
                digest.update(block)
                left -= len(block)
    return digest.hexdigest()


def _canonical(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Metadata with the document parsed, so that its spaces and the order of its keys do not matter."""
    try:
        return {**metadata, METADATA_KEY: json.loads(metadata[METADATA_KEY])}
    except (KeyError, ValueError, RecursionError):
        return dict(metadata)


def save_checkpoint(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    architecture: str,
    config: Mapping[str, Any],
    card: ModelCard,
    training: Mapping[str, Any],
) -> None:
    """Write a checkpoint that `reference:` and `path/to/file.safetensors` load."""
    from safetensors.torch import save_file

    stated = stated_fields(_with_clips(card, training))
    document = {"architecture": architecture, "config": dict(config), "card": stated, "training": dict(training)}
    own = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()
    }  # tensors that share memory cannot be saved
    save_file(own, str(path), metadata={METADATA_KEY: json.dumps(document, sort_keys=True)})


ARCHITECTURE_GROUP = "physbench.architectures"


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
        wrapper = next(match for name in sorted(there) if (match := UNWRAPPED.search(name)))[0]
        return (
            f"Only {wrapper} within their names differs{_by(wrapper)}. Save them without it, or rename: "
            f'{{name.replace("{wrapper}", ""): tensor for name, tensor in tensors.items()}}.'
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
    """Origin of a prefix, if that is known: "module._orig_mod." from both."""
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

    Raises ModelError: tensors are missing, unexpected or of another shape. The message names them.
    """
    missing = sorted(set(expected) - set(got))
    unexpected = sorted(set(got) - set(expected))
    wrong = [
        f"{name} {tuple(got[name])} instead of {tuple(expected[name])}"
        for name in sorted(expected)
        if name in got and tuple(got[name]) != tuple(expected[name])
    ]
    faults = [
        f"{words} {', '.join(names[: BOUNDS.tensors_named])}"
        + (f" and {len(names) - BOUNDS.tensors_named} more" * (len(names) > 3))
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
    names = {}
    for kind in ("Missing", "Unexpected"):
        listed = re.search(rf"{kind} key\(s\) in state_dict: (.*?)\. *$", str(error), re.MULTILINE)
        names[kind] = re.findall(r'"([^"]+)"', listed[1]) if listed else []
    return prefix_words(names["Missing"], names["Unexpected"])


def _load(path: Path, device: torch.device, dtype: torch.dtype) -> Model:
    header = read_header(path)
    checkpoint = read_checkpoint(path, header)
    files = sorted({info.file for info in header.tensors.values()})
    _refuse_unknown(checkpoint.architecture, path)
    architecture: Any = plugins.load(ARCHITECTURE_GROUP, checkpoint.architecture)

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


def _refuse_unknown(architecture: str, path: Path) -> None:
    known = plugins.entries(ARCHITECTURE_GROUP)
    if architecture not in known:
        raise ModelError(f"{path}: there is no architecture '{architecture}' here.{nearest(architecture, known)}")


class _CheckpointAdapter(Adapter):
    """The common part of both adapters, once the file is found."""

    def _path(self, target: str) -> Path:
        raise NotImplementedError

    def check(self, target: str) -> None:
        path = self._path(target)
        _refuse_unknown(read_checkpoint(path).architecture, path)  # imported by the model's process alone: torch

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        refuse_arguments(model_args, "a checkpoint, whose metadata holds them,")

    def sha256(self, target: str) -> str | None:
        return hash_tensors(self._path(target))

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        return _load(self._path(target), device, dtype)


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
        path = Path(without_scheme(target, self.name))
        if index := find_index(path):
            return index
        if index := index_of_shard(path):
            raise ModelError(f"{path} is one of several files of one checkpoint. Give their index: {index}")
        if path.is_dir():
            names = sorted(entry.name for entry in path.iterdir())
            raise ModelError(describe_checkpoints(path, names) or f"{path} holds no .safetensors file.")
        if not path.is_file():
            raise ModelError(describe_missing_path(path))
        return path


class ReferenceAdapter(_CheckpointAdapter):
    """A checkpoint that comes with the package."""

    name = "reference"
    summary = "reference:NAME  a checkpoint that comes with physbench"

    def _path(self, target: str) -> Path:
        name = target.partition(":")[2]
        known = shipped_checkpoints()
        if name in known:
            return known[name]
        if name in plugins.entries(ARCHITECTURE_GROUP):
            raise ModelError(
                f"{target}: no checkpoint of '{name}' comes with this version. Make one with `physbench train {name}` "
                "and evaluate its path."
            )
        raise ModelError(
            f"There is no reference model '{name}'.{nearest(name, [*known, *plugins.entries(ARCHITECTURE_GROUP)])}"
        )

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        models: list[tuple[str, ModelCard | None, str]] = []
        for name, path in shipped_checkpoints().items():
            checkpoint = read_checkpoint(path)
            size = f"{path.stat().st_size / 1e3:,.0f} kB"
            models.append((f"reference:{name}", checkpoint.card, f"{checkpoint.architecture}, {size}"))
        return models


class UntrainedAdapter(ReferenceAdapter):
    """The same architecture as a checkpoint that comes with the package, its weights as before any training."""

    name = "untrained"
    summary = "untrained:NAME  reference:NAME with weights as before any training, to see what training has brought"

    def sha256(self, target: str) -> str | None:
        return None  # torch draws the weights

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return []  # those of `reference:`

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        import torch

        from physbench.models.networks import UNTRAINED_SEED

        checkpoint = read_checkpoint(self._path(target))
        card = replace(
            checkpoint.card, name=f"{checkpoint.card.name} untrained", track="zero-shot", training_clips=None
        )
        architecture: Any = plugins.load(ARCHITECTURE_GROUP, checkpoint.architecture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(UNTRAINED_SEED)
            net = architecture.net(architecture.checked(checkpoint.config))
        model: Model = architecture.wrap(net.to(device), card, device, dtype)
        return model


safetensors_adapter = SafetensorsAdapter()
reference_adapter = ReferenceAdapter()
untrained_adapter = UntrainedAdapter()
