"""Runs ONNX graphs with onnxruntime. The state of a rollout stays where it was computed, as values of the runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from physbench.models.graphs.onnx_file import GraphLayout, part_of, read_onnx, weights_folder
from physbench.models.protocol import FrameModel, SteppedModel, SurpriseCard, SurpriseModel
from physbench.support.errors import ModelError
from physbench.support.plugins import first_line

if TYPE_CHECKING:
    from onnx import ModelProto


Values = dict[str, Any]  # values of the runtime, by name


class GraphSession:
    """A part of a graph, loaded on a device."""

    def __init__(self, model: ModelProto, path: Path, device: torch.device) -> None:
        import onnxruntime

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
    return torch.from_numpy(value.numpy()).to(device)


class OnnxSteps(SteppedModel[Values]):
    """A graph in two parts, `init` and `step`."""

    def __init__(self, layout: GraphLayout, init: GraphSession, step: GraphSession) -> None:
        self.card, self.noise_size, self.action_values = layout.card, layout.noise_size, layout.action_values
        self._layout, self._init, self._step = layout, init, step
        self._device = torch.device("cpu")

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
