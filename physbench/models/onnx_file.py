"""Models from .onnx files: recognition, checks of inputs, outputs, operators and weights, rollouts by onnxruntime."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from physbench.models import graph_card
from physbench.models.protocol import (
    ACTION_VALUES,
    FrameModel,
    Model,
    ModelCard,
    SteppedModel,
    SurpriseCard,
    SurpriseModel,
)
from physbench.models.safetensors_files import METADATA_KEY
from physbench.support.errors import ModelError, nearest
from physbench.support.files import add_file
from physbench.support.plugins import first_line

if TYPE_CHECKING:
    import torch
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
    from torch import Tensor

# Walks through ONNX graphs: nodes and tensors with those of sub-graphs, and the part that makes some outputs.


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and those of the bodies of If, Loop and Scan."""
    for node in nodes:
        yield node
        for graph in _bodies(node):
            yield from all_nodes(graph.node)


def all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant tensor of a model."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
        yield from attribute.tensors
    for graph in _bodies(node):
        yield from _graph_tensors(graph)


def needed_names(graph: GraphProto, outputs: Iterable[str]) -> set[str]:
    """Names of all values that some outputs of a graph depend on, those of inputs and weights too."""
    makers = {name: node for node in graph.node for name in node.output}
    names: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in names:
            continue
        names.add(name)
        if name in makers:
            waiting += _values_used(makers[name])
    return names


def _values_used(node: NodeProto) -> Iterator[str]:
    """Inputs of a node, and every name that its bodies mention: they may use values of the graph around them."""
    yield from node.input
    for graph in _bodies(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from _values_used(inner)


def part_of(model: ModelProto, outputs: Sequence[str]) -> ModelProto:
    """The model that makes some of the outputs alone, with the weights and inputs that these need."""
    from onnx import GraphProto, ModelProto

    whole = model.graph
    needed = needed_names(whole, outputs)
    by_name = {output.name: output for output in whole.output}
    graph = GraphProto(
        name=whole.name,
        node=[node for node in whole.node if needed & set(node.output)],
        initializer=[tensor for tensor in whole.initializer if tensor.name in needed],
        sparse_initializer=[sparse for sparse in whole.sparse_initializer if sparse.values.name in needed],
        input=[value for value in whole.input if value.name in needed],
        output=[by_name[name] for name in outputs],
    )
    return ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )


# Reads an ONNX file and checks that it holds a model: names and shapes of its inputs and outputs, operators, weights.
#
# Three forms are accepted. *Steps*: one graph with two parts side by side, told apart by the names of what they make.
#
#     init:  context (B, C, 3, H, W) [, context_actions (B, C, 6)]      -> init_NAME for each state NAME
#     step:  NAME for each state [, action (B, 6)] [, noise (B, n)]     -> next_NAME for each state, frame (B, 3, H, W)
#
# *Clip*: `context` -> `frames` (B, T, 3, H, W) for a fixed T, which is continued on its own last frames.
#
# *Surprise*: `video` (B, T, 3, H, W) -> `surprise` (B, T), for films of any length.


@dataclass(frozen=True)
class GraphLayout:
    """Layout of a checked graph.

    Attributes:
        card: The card of its model; of the clip form with max_horizon.
        states: Names of the state inputs; none in the clip form.
        optional: Which of context_actions, action and noise it takes.
        noise_size: Random numbers that a step takes for each clip.
        action_values: Numbers of an action.
    """

    card: ModelCard
    states: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    noise_size: int = 0
    action_values: int = ACTION_VALUES

    @property
    def stepped(self) -> bool:
        return bool(self.states)

    @property
    def first_outputs(self) -> list[str]:
        """Outputs of the first part: the first states, or all frames, or surprise."""
        if not self.card.continues:
            return ["surprise"]
        return [graph_card.INIT_PREFIX + name for name in self.states] or ["frames"]

    @property
    def next_outputs(self) -> list[str]:
        """Outputs of the second part, the step."""
        return [graph_card.NEXT_PREFIX + name for name in self.states] + ["frame"]


def looks_like_onnx(path: Path) -> bool:
    """True if the file starts like an ONNX model."""
    try:
        with path.open("rb") as file:
            start = file.read(3)
    except OSError:
        return False
    first_field = b"\x08"  # field 1, ir_version, a number below 128
    second_fields = b"\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca"  # what may follow it in a ModelProto
    return len(start) == 3 and start[:1] == first_field and 0 < start[1] < 128 and start[2] in second_fields


def read_onnx(path: Path) -> tuple[ModelProto, GraphLayout]:
    """Read a file, without external weights, and check it. Raises ModelError that says what is wrong."""
    import onnx
    from google.protobuf.message import DecodeError

    if path.stat().st_size > 2**31 - 1:  # of a protobuf message
        raise ModelError(
            f"{path} is larger than 2 GB, which no ONNX file can be. Save it with its weights as external data."
        )
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except (DecodeError, ValueError):
        raise ModelError(f"{path} is a truncated or corrupt ONNX file. Download or copy it again.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    _check_version(model, path)
    _check_operators(model, path)
    files = [file for tensor in all_tensors(model) if (file := _external_file(tensor, path)) is not None]
    try:
        # The checker wants plain files with one name for weights, and caches keep links: it is shown the graph alone.
        onnx.checker.check_model(_without_weights(model) if files else str(path))
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} is not a valid ONNX graph: {first_line(str(error)) or type(error).__name__}"
        ) from None
    layout = read_layout(model, str(path))
    for tensor in all_tensors(model):
        if (file := _external_file(tensor, path)) is not None:
            place = file.resolve().relative_to(weights_folder(path))
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = place.as_posix()
    return model, layout


def _without_weights(model: ModelProto) -> ModelProto:
    """A copy of a graph with weights of no values in the place of those that lie beside it."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    for tensor in all_tensors(copy):
        if tensor.data_location == tensor.EXTERNAL:
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")
            tensor.dims[:] = [0]
    return copy


def weights_folder(path: Path) -> Path:
    """The folder in which the weights of a graph have to lie: its own.

    A cache of models keeps files under their hashes, and a folder of links to them with their names: of a graph that is
    such a link it is the folder that holds both, the cache of that model.
    """
    own, target = path.parent.resolve(), path.resolve()
    if target.parent == own:
        return own
    return Path(os.path.commonpath([own, target.parent]))


def _check_version(model: ModelProto, path: Path) -> None:
    import onnx

    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    for name, used, newest in (
        ("IR version", model.ir_version, onnx.IR_VERSION),
        ("opset", opset, onnx.defs.onnx_opset_version()),
    ):
        if used > newest:
            raise ModelError(
                f"{path} has {name} {used}, but onnx {onnx.__version__} knows those up to {newest}. Update onnx and "
                "onnxruntime, or export it for an older version."
            )


def _check_operators(model: ModelProto, path: Path) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    domains = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # operators that onnxruntime comes with
    random = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in all_nodes(nodes):
            if node.domain not in domains and (node.domain, node.op_type) not in own:
                raise ModelError(
                    f"{path} uses the operator {node.domain}::{node.op_type}, which onnxruntime does not come with. "
                    "Custom operators are code, and are not loaded: build the graph of standard ones."
                )
            if node.op_type in random and node.domain in ("", "ai.onnx"):
                raise ModelError(
                    f"{path} uses the operator {node.op_type}, whose numbers cannot be repeated clip by clip. Take "
                    "them from an input `noise` (B, n) of the step: standard normal numbers from the generators."
                )


def _external_file(tensor: TensorProto, path: Path) -> Path | None:
    """The file, or link to it, that holds a tensor, or None. Raises ModelError if it lies elsewhere or is short."""
    if tensor.data_location != tensor.EXTERNAL:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    where = f"{path}: the weights {tensor.name}"
    # Beside the name that the user gives, as in a cache, or beside what that is a link to.
    places = dict.fromkeys((path.parent.resolve(), path.resolve().parent))
    try:
        named = {folder: folder / os.path.normpath(folder / location) for folder in places}
        file: Path = next((each for each in named.values() if each.is_file()), next(iter(named.values())))
        target = file.resolve()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL character, or a link to itself
        raise ModelError(f"{where} are said to lie in {location!a:.60}, which is no file: refused.") from None
    beside = any(each.is_relative_to(folder) and each != folder for folder, each in named.items() if each == file)
    if not location or not beside or not target.is_relative_to(weights_folder(path)):
        raise ModelError(f"{where} are said to lie in '{location}', outside of the graph's folder: refused.")
    if not file.is_file():
        lost = f"{file} is a link to {target}, which is not there: download the model again"
        copy = f"there is no file {file}. Copy it to the graph's folder"
        raise ModelError(f"{where} are missing: {lost if file.is_symlink() else copy}.")
    try:
        start, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
    except ValueError:
        raise ModelError(f"{where} have no valid place in {location}. Export the graph again.") from None
    if start < 0 or length < 0 or start + length > file.stat().st_size:
        raise ModelError(
            f"{where} end behind the end of {location} ({file.stat().st_size} bytes). Download or copy it again."
        )
    return file


def hash_onnx(path: Path) -> str:
    """Hash of the bytes of the file and of those with its weights."""
    import onnx

    model = onnx.load_model(str(path), load_external_data=False)
    files = {file for tensor in all_tensors(model) if (file := _external_file(tensor, path))}
    digest = hashlib.sha256()
    for file in (path, *sorted(files)):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode() if file is not path else b"")
        add_file(digest, file)
    return digest.hexdigest()


def read_layout(model: ModelProto, where: str) -> GraphLayout:
    """Check the document, the inputs and the outputs of a graph. Raises ModelError."""
    text = {entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY)
    card = graph_card.read_graph_document(text, where, f"the metadata key '{METADATA_KEY}'").card
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    outputs = {value.name: value for value in model.graph.output}
    if not card.continues:
        layout = _surprise_layout(card, inputs, outputs, where)
        graph_card.refuse_other_inputs(card, layout.optional, where)
        return layout
    if "context" not in inputs:
        raise ModelError(f"{where} has no input `context` (B, C, 3, H, W).{nearest('context', inputs)}")
    if "frames" in outputs:
        layout = _clip_layout(card, inputs, outputs, where)
    elif "frame" in outputs:
        layout = _step_layout(card, inputs, outputs, where)
        _check_parts(model, layout, where)
    else:
        raise ModelError(
            f"{where} has no output `frame` (of a step) or `frames` (of a whole clip).{nearest('frame', outputs)}"
        )
    size = (3, *card.image_size)
    _check_value(inputs["context"], ("B", card.context_frames, *size), where)
    if "context_actions" in layout.optional:
        _check_value(inputs["context_actions"], ("B", card.context_frames, layout.action_values), where)
    if "action" in layout.optional:
        _check_value(inputs["action"], ("B", layout.action_values), where)
    if layout.stepped:
        _check_value(outputs["frame"], ("B", *size), where)
    else:
        _check_value(outputs["frames"], ("B", layout.card.max_horizon or 0, *size), where)
    graph_card.refuse_other_inputs(card, layout.optional, where)
    return layout


def _surprise_layout(
    card: ModelCard, inputs: dict[str, ValueInfoProto], outputs: dict[str, ValueInfoProto], where: str
) -> GraphLayout:
    if set(inputs) != {"video"} or "surprise" not in outputs:
        raise ModelError(
            f"{where}: a graph of the kind 'surprise' takes `video` (B, T, 3, H, W) alone and gives `surprise` (B, T); "
            f"this one takes {', '.join(inputs) or 'nothing'} and gives {', '.join(outputs)}."
        )
    for value, wanted in ((inputs["video"], ("B", "T", 3, *card.image_size)), (outputs["surprise"], ("B", "T"))):
        _check_value(value, wanted, where)
        shape = shape_of(value)
        if shape is not None and isinstance(shape[1], int):
            raise ModelError(
                f"{where}: `{value.name}` has {shape[1]} frames, and films have more or fewer. Export it with a number "
                "of frames that may vary."
            )
    return GraphLayout(card)


def _clip_layout(
    card: ModelCard, inputs: dict[str, ValueInfoProto], outputs: dict[str, ValueInfoProto], where: str
) -> GraphLayout:
    others = sorted(set(inputs) - {"context"})
    if others:
        raise ModelError(
            f"{where}: the input `{others[0]}` is unknown: a graph with the output `frames` takes `context`."
        )
    shape = shape_of(outputs["frames"])
    length = shape[1] if shape is not None and len(shape) == 5 else None
    if not isinstance(length, int) or length < 1:
        raise ModelError(f"{where}: the output `frames` must have a fixed number of frames, (B, T, 3, H, W).")
    if card.max_horizon not in (None, length):
        raise ModelError(f"{where}: its card says max_horizon={card.max_horizon}, but the graph gives {length} frames.")
    return GraphLayout(replace(card, max_horizon=length))


def _step_layout(
    card: ModelCard, inputs: dict[str, ValueInfoProto], outputs: dict[str, ValueInfoProto], where: str
) -> GraphLayout:
    states = tuple(graph_card.state_names(list(inputs)))
    for name in states:
        for output in (graph_card.INIT_PREFIX + name, graph_card.NEXT_PREFIX + name):
            if output not in outputs:
                raise ModelError(
                    f"{where}: the input `{name}` is a state, which needs the outputs `{graph_card.INIT_PREFIX}{name}` "
                    f"and `{graph_card.NEXT_PREFIX}{name}`; there is no `{output}`.{nearest(output, outputs)}"
                )
    if not states:
        raise ModelError(
            f"{where}: a graph with the output `frame` needs a state: an input NAME and the outputs "
            f"{graph_card.INIT_PREFIX}NAME and {graph_card.NEXT_PREFIX}NAME."
        )
    expected = {prefix + name for name in states for prefix in (graph_card.INIT_PREFIX, graph_card.NEXT_PREFIX)} | {
        "frame"
    }
    if surplus := sorted(set(outputs) - expected):
        raise ModelError(f"{where}: the output `{surplus[0]}` belongs to no state; the states are {', '.join(states)}.")
    size = 0
    if "noise" in inputs:
        shape = shape_of(inputs["noise"]) or ()
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ModelError(f"{where}: the input `noise` must have a fixed number of values, (B, n).")
        size = shape[1]
        _check_value(inputs["noise"], ("B", size), where)
    taken = frozenset(inputs) & set(graph_card.OPTIONAL_INPUTS)
    shapes = [shape_of(inputs[name]) for name in ("action", "context_actions") if name in taken]
    last = next((shape[-1] for shape in shapes if shape and isinstance(shape[-1], int)), ACTION_VALUES)
    return GraphLayout(card, states, taken, size, last)


def _check_parts(model: ModelProto, layout: GraphLayout, where: str) -> None:
    """Check that the first states come from the context alone, and the next ones do not."""
    graph = model.graph
    of_init = needed_names(graph, layout.first_outputs)
    if wrong := sorted(of_init & {*layout.states, "action", "noise"}):
        raise ModelError(f"{where}: the first state depends on the input `{wrong[0]}`; it may use the context alone.")
    of_step = needed_names(graph, layout.next_outputs)
    if wrong := sorted(of_step & {"context", "context_actions"}):
        raise ModelError(f"{where}: the step depends on the input `{wrong[0]}`: keep what it needs of it in the state.")


def shape_of(value: Any) -> tuple[int | str, ...] | None:
    """Shape of an input or output: whole numbers, and names for what may vary; None if the graph does not say."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or "?") for dim in tensor.shape.dim)


def _check_value(value: ValueInfoProto, wanted: Sequence[int | str], where: str) -> None:
    """Check type and shape of an input or output. Text in `wanted` stands for a size that must be able to vary."""
    shape = shape_of(value)
    wants = f"({', '.join(map(str, wanted))})"
    if value.type.tensor_type.elem_type != 1:  # TensorProto.FLOAT
        raise ModelError(f"{where}: expected `{value.name}` to be float32 {wants}.")
    if shape is None:
        return
    got = f"({', '.join(map(str, shape))})"
    if len(shape) != len(wanted) or any(
        isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(shape, wanted, strict=True)
    ):
        raise ModelError(f"{where}: by its card, `{value.name}` should have the shape {wants}, got {got}.")
    if isinstance(shape[0], int):
        raise ModelError(
            f"{where}: `{value.name}` has the shape {got}, with a fixed batch. Export it with a batch that may vary."
        )


TO_RUN, TO_EXPORT = ("onnx", "onnxruntime"), ("onnx", "onnxruntime", "onnxscript")


def require_libraries(what: str, names: Sequence[str] = TO_RUN) -> None:
    """Raise ModelError if libraries of the extra are missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ModelError(f"{what} needs {' and '.join(missing)}: pip install 'physbench[onnx]'")


# Runs graphs with onnxruntime. The state of a rollout stays where it was computed, as values of the runtime.

Values = dict[str, Any]  # values of the runtime, by name


class GraphSession:
    """A part of a graph, loaded on a device."""

    def __init__(self, model: ModelProto, path: Path, device: torch.device) -> None:
        import onnxruntime
        import torch

        kind, index = device.type, device.index or 0
        providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
        provider = providers.get(kind, "")
        available = onnxruntime.get_available_providers()
        if provider not in available:
            words = "the onnxruntime here has no CUDA: install onnxruntime-gpu in its place, or give --device cpu"
            raise ModelError(f"{path}: {words}." if kind == "cuda" else f"{path}: --device {kind}: give --device cpu.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors arrive as exceptions
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other processes score meanwhile
        folder = str(weights_folder(path))
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        chosen: list[Any] = [provider] if kind == "cpu" else [(provider, {"device_id": index}), providers["cpu"]]
        try:
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=chosen)
        except Exception as error:  # the runtime's own types, which are no subclasses of one
            raise ModelError(
                f"onnxruntime {onnxruntime.__version__} cannot load {path}: {first_line(str(error))}"
            ) from None
        if self._session.get_providers()[0] != provider:
            raise ModelError(f"{path}: onnxruntime could not start CUDA; are its libraries installed? Or --device cpu.")
        self._place = (kind, index)
        self.inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, tensors: Mapping[str, Tensor], values: Values) -> Values:
        """Run it on tensors and on values of an earlier run. Returns its outputs, by name."""
        import torch
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        for name in self.inputs:
            if name in values:
                binding.bind_ortvalue_input(name, values[name])
            else:
                array = tensors[name].to("cpu", torch.float32).contiguous().numpy()
                binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array, *self._place))
        for name in self._outputs:
            binding.bind_output(name, *self._place)
        out_of_memory = ("Failed to allocate", "bad_alloc", "bad allocation", "CUDA out of memory")
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            if any(words in str(error) for words in out_of_memory):
                raise MemoryError(first_line(str(error))) from None
            raise
        return dict(zip(self._outputs, binding.get_outputs(), strict=True))


def _as_tensor(value: Any, device: torch.device) -> Tensor:
    import torch

    return torch.from_numpy(value.numpy()).to(device)


class OnnxSteps(SteppedModel[Values]):
    """A graph in two parts, `init` and `step`."""

    _device: torch.device  # of the last context

    def __init__(self, layout: GraphLayout, init: GraphSession, step: GraphSession) -> None:
        self.card, self.noise_size, self.action_values = layout.card, layout.noise_size, layout.action_values
        self._layout, self._init, self._step = layout, init, step

    def optional_inputs(self) -> frozenset[str]:
        return self._layout.optional

    def init(self, context: Tensor, **given: Tensor) -> Values:
        self._device = context.device
        outputs = self._init.run({"context": context, **given}, {})
        return {
            name: outputs[output] for name, output in zip(self._layout.states, self._layout.first_outputs, strict=True)
        }

    def step(self, state: Values, **given: Tensor) -> tuple[Values, Tensor]:
        made = self._step.run(given, state)
        *outputs, frame = self._layout.next_outputs
        following = {name: made[output] for name, output in zip(self._layout.states, outputs, strict=True)}
        return following, _as_tensor(made[frame], self._device)


class OnnxClip:
    """A graph from a context to a fixed number of frames."""

    def __init__(self, layout: GraphLayout, session: GraphSession) -> None:
        self.card, self._session = layout.card, session

    def rollout(self, context: Tensor, *, horizon: int, **given: object) -> Iterator[Tensor]:
        """The first `horizon` of its frames, (B, horizon, 3, H, W) in one chunk."""
        outputs = self._session.run({"context": context}, {})
        yield _as_tensor(outputs["frames"], context.device)[:, :horizon]


class OnnxSurprise:
    """A graph from films to surprise."""

    def __init__(self, card: SurpriseCard, session: GraphSession) -> None:
        self.card, self._session = card, session

    def surprise(self, video: Tensor, **given: object) -> Tensor:
        """Surprise (B, T) at the frames (B, T, 3, H, W) of films."""
        return _as_tensor(self._session.run({"video": video}, {})["surprise"], video.device)


def load_graph(path: Path, device: torch.device) -> FrameModel | SurpriseModel:
    """Load the model in an ONNX file. Raises ModelError that says what to do."""
    model, layout = read_onnx(path)
    first = GraphSession(part_of(model, layout.first_outputs), path, device)
    if not layout.card.continues:
        return OnnxSurprise(cast("SurpriseCard", layout.card), first)
    if not layout.stepped:
        return OnnxClip(layout, first)
    return OnnxSteps(layout, first, GraphSession(part_of(model, layout.next_outputs), path, device))


class OnnxAdapter(graph_card.GraphAdapter):
    """An ONNX file that holds a model."""

    name = "onnx"
    looks_right = staticmethod(looks_like_onnx)

    @property
    def summary(self) -> str:
        missing = any(find_spec(name) is None for name in TO_RUN)
        state = "not installed: pip install 'physbench[onnx]'" if missing else f"onnxruntime {version('onnxruntime')}"
        return f"path/to/model.onnx  a graph of any framework, without code; `physbench export` makes one ({state})"

    def _path(self, target: str) -> Path:
        path = super()._path(target)
        require_libraries(str(path))
        return path

    def check(self, target: str) -> None:
        read_onnx(self._path(target))

    def sha256(self, target: str) -> str | None:
        return hash_onnx(self._path(target))

    def load_file(self, path: Path, device: torch.device) -> Model:
        return load_graph(path, device)


adapter = OnnxAdapter()
