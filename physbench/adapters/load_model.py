"""Finds the adapter of a target and loads the model.

A target is `scheme:rest`, or a path that is recognised by its content. torch is imported only when a model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from physbench.adapters.model_protocol import Model, ModelCard
from physbench.errors import ModelError, nearest
from physbench.plugins import entry_points

if TYPE_CHECKING:
    import torch

    from physbench.clips.clip import Row
    from physbench.clips.suite import Suite

ADAPTER_GROUP = "physbench.adapters"
Handed = Literal["context", "clip", "id"]
# Adapters of physbench whose models are given more than what they are shown. All others are given the context alone.
HANDED: Mapping[str, Handed] = {
    "physbench.adapters.videos:adapter": "id",
    "physbench.baselines.baseline_adapter:adapter": "clip",
    "physbench.validation.saboteur_adapter:adapter": "clip",
}
SCHEME = re.compile(r"([a-z][a-z0-9-]+):(.*)", re.DOTALL)


class Adapter(Protocol):
    """Loads one kind of model. Adapters are registered in the entry-point group `physbench.adapters`."""

    name: str
    summary: str  # one line for `physbench models list`, with the form of its targets

    def recognises(self, target: str) -> bool:
        """Whether the target belongs to this adapter, by its scheme or the first bytes of a file. Runs nothing."""
        ...

    def check(self, target: str) -> None:
        """Raise ModelError if the target cannot be loaded, as far as that shows without loading it."""
        ...

    def sha256(self, target: str) -> str | None:
        """Hash of everything that decides the model's answers, or None if that cannot be known."""
        ...

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        """Targets that can be loaded on this machine: (target, card if known, description)."""
        ...

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        """Load the model. Raises ModelError that says what to do."""
        ...


@runtime_checkable
class RecordedAdapter(Protocol):
    """An adapter of models whose answers exist already: it can be asked which clips they answer."""

    def preflight(self, target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
        """Notes before a suite is evaluated. Raises UsageError where the target answers other clips."""
        ...

    def inspect(self, target: str, model_args: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Check all answers: (kind, text), see `videos_check.inspect_videos`."""
        ...

    def rows(self, target: str, model_args: Mapping[str, str]) -> list[Row]:
        """The clips that have an answer."""
        ...


@runtime_checkable
class CodeAdapter(Protocol):
    """An adapter of files that run code when they are loaded: only with --trust-code."""

    def code_warning(self, target: str) -> str:
        """What loading the target would run, for the message without --trust-code."""


@runtime_checkable
class DescribedAdapter(Protocol):
    """An adapter that can say what a model will do to clips before it is loaded."""

    def describe(self, target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
        """(name, text) on sizes, rates, context and prompts. Raises ModelError where an argument cannot work."""
        ...


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
    for name, entry in entry_points.entries(ADAPTER_GROUP).items():
        try:
            working.append(entry.load())
        except Exception as error:
            broken[name] = f"{type(error).__name__}: {error}"
    return InstalledAdapters(tuple(working), broken)


def find_adapter(target: str) -> Adapter:
    """Find the adapter of a target.

    Raises:
        ModelError: There is none. The message says what the target is and what to do.
    """
    if "\0" in target:
        raise ModelError(f"Expected a MODEL, got {target!r}: it holds a NUL character.")
    names = entry_points.entries(ADAPTER_GROUP)
    match = SCHEME.fullmatch(target)
    scheme = match[1] if match and not Path(target).exists() else ""
    if scheme in installed_adapters().broken:
        raise ModelError(f"The adapter '{scheme}' cannot be imported ({installed_adapters().broken[scheme]}).")
    for adapter in installed_adapters().working:
        if adapter.name == scheme or (scheme not in names and adapter.recognises(target)):
            return adapter
    from physbench.adapters.unrecognised import describe_unrecognised

    if scheme and match and match[2].split("/")[0].isdecimal():
        raise ModelError(f"There is no kind of model '{scheme}:'. For a model behind a server give http://{target}.")
    if scheme:
        raise ModelError(f"There is no kind of model '{scheme}:'.{nearest(scheme, names)}")
    raise ModelError(describe_unrecognised(target))


def what_is_handed(target: str, privileged: bool = False) -> Handed:
    """What a model of this target may be handed: the context it is shown, whole clips, or the ids of clips.

    Args:
        target: See `load_model`.
        privileged: Whether the user allows a model of his own to be handed whole clips.
    """
    point = entry_points.entries(ADAPTER_GROUP).get(find_adapter(target).name)
    handed: Handed = "context" if point is None else HANDED.get(point.value, "context")
    return "clip" if handed == "context" and privileged else handed


def is_served(target: str) -> bool:
    """Whether a model of this target is behind a server, which wants the token of the environment."""
    return find_adapter(target).name == "http"


def check_target(target: str, *, trust_code: bool = False) -> None:
    """Raise ModelError if a target cannot be a model, or runs code and is not trusted. Nothing is run or loaded."""
    _trusted_adapter(target, trust_code).check(target)


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
    from physbench.adapters.model_networks import weights_sha256

    return weights_sha256(model)


def preflight(target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
    """Notes on a target before a suite is evaluated; only recorded answers have any.

    Raises:
        UsageError: The target answers other clips than those of the suite.
    """
    adapter = find_adapter(target)
    return adapter.preflight(target, suite, samples, model_args) if isinstance(adapter, RecordedAdapter) else []


def describe_model(target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a model will do to clips, as (name, text), for the kinds that can say it without loading; else empty."""
    adapter = find_adapter(target)
    return adapter.describe(target, model_args) if isinstance(adapter, DescribedAdapter) else []


def load_model(
    target: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    model_args: Mapping[str, str] | None = None,
    trust_code: bool = False,
    privileged: bool = False,
    untrained: bool = False,
) -> Model:
    """Load a model and check that it keeps the protocol of models.

    Args:
        target: `scheme:rest`, or a path that an adapter recognises.
        device: Where the model runs.
        dtype: Floating-point type of its weights and frames.
        model_args: Values of --model-arg, by name.
        trust_code: Allow formats that run code when they are read, as .pt2 does. `file.py:factory` and
            `python:module:factory` need no such word: they name the code that may run.
        privileged: Allow a model of the user's that is handed whole clips. Built-in ones need no permission.
        untrained: Draw its weights anew, see `untrained_copy`.

    Returns:
        A FrameModel; a PrivilegedModel or RecordedModel only where `what_is_handed` allows it.

    Raises:
        ModelError: The target cannot be loaded or does not keep the protocol. The message says what to do.
    """
    from physbench.adapters.model_contract import check_contract

    adapter = _trusted_adapter(target, trust_code)
    adapter.check(target)
    model = adapter.load(target, device=device, dtype=dtype, model_args=dict(model_args or {}))
    checked = check_contract(model, target, what_is_handed(target, privileged))
    if not untrained:
        return checked
    from physbench.adapters.untrained_copy import make_untrained

    return make_untrained(checked, target)
