"""Whether two runs are of one model, so that nothing but the look of its clips tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physbench.results.read_run import context_of
from physbench.results.schema import ResultDocument

ModelKey = tuple[object, ...]


def key_of_result(result: ResultDocument) -> ModelKey:
    """The model, its arguments, size, rate, context and samples: all but the look that tells runs apart."""
    return _key(result.model.model_dump(), result.context, result.counts.samples)


def key_of_manifest(manifest: Mapping[str, Any]) -> ModelKey:
    """The same from the manifest of a run."""
    options = manifest.get("options") or {}
    return _key(manifest["model"], context_of(manifest), int(options.get("samples", 1)))


def same_weights(a: ModelKey, b: ModelKey) -> bool:
    """Whether two keys are of one model, whatever it was shown."""
    return a[:3] == b[:3]


def _key(model: Mapping[str, Any], context: int, samples: int) -> ModelKey:
    args = tuple(sorted((str(name), str(value)) for name, value in (model.get("args") or {}).items()))
    card = model["card"]
    shown = (*card["image_size"], float(card["fps"]), context, samples)
    return str(model["name"]), model.get("sha256") or str(model["target"]), args, *shown
