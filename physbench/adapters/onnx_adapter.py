"""Models from .onnx files: graphs without code, which onnxruntime runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.adapters.model_protocol import Model, ModelCard
from physbench.adapters.onnx_graph import hash_onnx, looks_like_onnx, read_onnx
from physbench.errors import ModelError

if TYPE_CHECKING:
    import torch

TO_RUN, TO_EXPORT = ("onnx", "onnxruntime"), ("onnx", "onnxruntime", "onnxscript")


def require_libraries(what: str, names: Sequence[str] = TO_RUN) -> None:
    """Raise ModelError if libraries of the extra are missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ModelError(f"{what} needs {' and '.join(missing)}: pip install 'physbench[onnx]'")


class OnnxAdapter:
    """An ONNX file that holds a model, whatever its name."""

    name = "onnx"

    @property
    def summary(self) -> str:
        missing = any(find_spec(name) is None for name in TO_RUN)
        state = "not installed: pip install 'physbench[onnx]'" if missing else f"onnxruntime {version('onnxruntime')}"
        return f"path/to/model.onnx  a graph of any framework, without code; `physbench export` makes one ({state})"

    def recognises(self, target: str) -> bool:
        path = Path(target)
        return path.is_file() and looks_like_onnx(path)

    def _path(self, target: str) -> Path:
        scheme, _, rest = target.partition(":")
        path = Path(rest) if scheme == self.name and not Path(target).exists() else Path(target)
        if not path.is_file() or not looks_like_onnx(path):
            from physbench.adapters.unrecognised import describe_unrecognised

            raise ModelError(describe_unrecognised(str(path)))
        require_libraries(str(path))
        return path

    def check(self, target: str) -> None:
        read_onnx(self._path(target))

    def sha256(self, target: str) -> str | None:
        return hash_onnx(self._path(target))

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return []

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        from physbench.adapters.onnx_model import load_graph

        path = self._path(target)
        if model_args:
            raise ModelError(f"--model-arg {next(iter(model_args))}: a graph takes no arguments.")
        if str(dtype) != "torch.float32":
            raise ModelError(f"{path}: --dtype does not change a graph, which holds its own types. Leave it out.")
        return load_graph(path, device)


adapter = OnnxAdapter()
