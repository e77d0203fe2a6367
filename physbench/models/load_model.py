"""Finds the adapter of a target and loads the model.

A target is `scheme:rest`, or a path that is recognised by its content. torch is imported only when a model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, Unpack

from physbench.models.adapter import Adapter, CodeAdapter, DescribedAdapter, RecordedAdapter
from physbench.models.protocol import Encoder, Model
from physbench.models.unrecognised import describe_unrecognised
from physbench.support import plugins
from physbench.support.errors import ModelError, nearest

if TYPE_CHECKING:
    import torch

    from physbench.clips.suite import Suite

ADAPTER_GROUP = "physbench.adapters"
Handed = Literal["context", "clip", "id"]
# Adapters of physbench whose models are given more than what they are shown. All others are given the context alone.
HANDED: Mapping[str, Handed] = {
    "physbench.models.videos.adapter:adapter": "id",
    "physbench.baselines.baseline_adapter:adapter": "clip",
    "physbench.validity.saboteur_adapter:adapter": "clip",
}


@dataclass(frozen=True)
class InstalledAdapters:
    """The registered adapters."""

    working: tuple[Adapter, ...]
    broken: dict[str, str]  # name: the error of its import


@cache
def installed_adapters() -> InstalledAdapters:
    """Import all registered adapters; a broken one does not affect the others."""
    working: list[Adapter] = []
    broken: dict[str, str] = {}
    for name, entry in plugins.entries(ADAPTER_GROUP).items():
        try:
            working.append(entry.load())
        except Exception as error:
            broken[name] = f"{type(error).__name__}: {error}"
    return InstalledAdapters(tuple(working), broken)


def find_adapter(target: str) -> Adapter:
    """Find the adapter of a target.

    Raises ModelError: there is none. The message says what the target is and what to do.
    """
    if "\0" in target:
        raise ModelError(f"Expected a MODEL, got {target!r}: it holds a NUL character.")
    names = plugins.entries(ADAPTER_GROUP)
    match = re.fullmatch(r"([a-z][a-z0-9-]+):(.*)", target, re.DOTALL)
    scheme = match[1] if match and not Path(target).exists() else ""
    if scheme in installed_adapters().broken:
        raise ModelError(f"The adapter '{scheme}' cannot be imported ({installed_adapters().broken[scheme]}).")
    for adapter in installed_adapters().working:
        if adapter.name == scheme or (scheme not in names and adapter.recognises(target)):
            return adapter

    if scheme and match and match[2].split("/")[0].isdecimal():
        raise ModelError(f"There is no kind of model '{scheme}:'. For a model behind a server give http://{target}.")
    if scheme:
        raise ModelError(f"There is no kind of model '{scheme}:'.{nearest(scheme, names)}")
    raise ModelError(describe_unrecognised(target))


def what_is_handed(target: str, privileged: bool = False) -> Handed:
    """Input of a model of this target: the context it is shown, whole clips, or the ids of clips.

    privileged: True if the user allows a model of his own to receive whole clips.
    """
    point = plugins.entries(ADAPTER_GROUP).get(find_adapter(target).name)
    handed: Handed = "context" if point is None else HANDED.get(point.value, "context")
    return "clip" if handed == "context" and privileged else handed


def is_served(target: str) -> bool:
    """True if a model of this target is behind a server, which wants the token of the environment."""
    return find_adapter(target).name == "http"


def check_target(
    target: str,
    *,
    trust_code: bool = False,
    view: str | None = None,
    model_args: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Raise ModelError if a target cannot be a model, or runs code and is not trusted. Nothing is run or loaded.

    Args:
        view: In which it is to be asked; None: that of its card.
        model_args: Values of --model-arg, by name.
    """
    adapter = _trusted_adapter(target, trust_code)
    adapter.check(target)
    adapter.check_arguments(target, model_args)
    if view is not None:
        adapter.check_view(target, view)


def _trusted_adapter(target: str, trust_code: bool) -> Adapter:
    """The adapter of a target, if it runs no code that nobody asked for."""
    adapter = find_adapter(target)
    if isinstance(adapter, CodeAdapter) and not trust_code:
        raise ModelError(adapter.code_warning(target))
    return adapter


def model_sha256(target: str) -> str | None:
    """Hash of what decides a model's answers: tensors and metadata of a checkpoint, the text of a Python file."""
    return find_adapter(target).sha256(target)


def live_sha256(model: Model) -> str | None:
    """Hash of the weights of a model in this process; None where it holds no network whose weights could be read."""
    from physbench.models.networks import weights_sha256

    return weights_sha256(model)


def preflight(target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
    """Notes on a target before a suite is evaluated; only recorded answers have any.

    Raises UsageError: the target answers other clips than those of the suite.
    """
    adapter = find_adapter(target)
    return adapter.preflight(target, suite, samples, model_args) if isinstance(adapter, RecordedAdapter) else []


def describe_model(target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
    """Treatment of clips by a model, as (name, text), for the kinds that can say it without loading; else empty."""
    adapter = find_adapter(target)
    return adapter.describe(target, model_args) if isinstance(adapter, DescribedAdapter) else []


class LoadOptions(TypedDict):
    """Keywords with which any model is loaded."""

    device: torch.device
    """Device of the model."""
    dtype: torch.dtype
    """Floating-point type of its weights and frames."""
    model_args: NotRequired[Mapping[str, str] | None]
    """Values of --model-arg, by name."""
    trust_code: NotRequired[bool]
    """Allow formats that run code when they are read, as .pt2 does. `file.py:factory` and `python:module:factory` need
    no such word: they name the code that may run."""


def _load(
    target: str,
    device: torch.device,
    dtype: torch.dtype,
    model_args: Mapping[str, str] | None = None,
    trust_code: bool = False,
) -> object:
    """Load with the adapter of a target, and check nothing of what it makes."""
    adapter = _trusted_adapter(target, trust_code)
    arguments = dict(model_args or {})
    adapter.check(target)
    adapter.check_arguments(target, arguments)
    return adapter.load(target, device=device, dtype=dtype, model_args=arguments)


def load_model(
    target: str, *, privileged: bool = False, untrained: bool = False, **options: Unpack[LoadOptions]
) -> Model:
    """Load a model and check that it keeps the protocol of models.

    Args:
        target: `scheme:rest`, or a path that an adapter recognises.
        privileged: Allow a model of the user's that is handed whole clips. Built-in ones need no permission.
        untrained: Draw its weights anew, see `untrained_copy`.

    Returns a FrameModel; a PrivilegedModel or RecordedModel only where `what_is_handed` allows it.

    Raises ModelError: the target cannot be loaded or does not keep the protocol. The message says what to do.
    """
    from physbench.models.protocol import check_contract

    checked = check_contract(_load(target, **options), target, what_is_handed(target, privileged))
    if not untrained:
        return checked
    from physbench.models.networks import make_untrained

    return make_untrained(checked, target)


def load_encoder(target: str, *, untrained_beside: Encoder | None = None, **options: Unpack[LoadOptions]) -> Encoder:
    """Load what has an `encode`: a model of any kind, or an object with a card and an `encode` alone.

    Args:
        target, options: As of `load_model`.
        untrained_beside: The same, loaded before. Draw weights anew; of `reference:NAME` as `untrained:NAME` does.

    Raises ModelError: the target cannot be loaded, has no encoder, or gives the same networks twice.
    """
    from physbench.models.protocol import check_card_types

    untrained = untrained_beside is not None
    if untrained and target.startswith("reference:"):
        target, untrained = f"untrained:{target.partition(':')[2]}", False
    model = _load(target, **options)
    if not callable(getattr(model, "encode", None)):
        raise ModelError(
            f"{target} has no encoder: the {type(model).__name__} has no method `encode(frames)`, which gives latents "
            "(B, T', ...) of frames (B, T, H, W, 3) uint8."
        )
    check_card_types(getattr(model, "card", None), target)
    encoder: Encoder = model  # type: ignore[assignment]
    if untrained:
        from physbench.models.networks import find_networks, make_untrained

        loaded = {id(weights) for network in find_networks(untrained_beside) for weights in network.parameters()}
        if any(id(weights) in loaded for network in find_networks(encoder) for weights in network.parameters()):
            raise ModelError(f"{target}: its factory gives one network twice. Let it make a new one at each call.")
        make_untrained(encoder, target)
    return encoder
