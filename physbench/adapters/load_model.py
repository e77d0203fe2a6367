"""From what the user typed to a model: a `scheme:rest` or a path, recognised by what is in it.

Nothing here imports torch until a model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from physbench.adapters.model_protocol import Model, ModelCard
from physbench.errors import ModelError, nearest
from physbench.plugins import entry_points

if TYPE_CHECKING:
    import torch

    from physbench.clips.clip import Row
    from physbench.clips.suite import Suite

GROUP = "physbench.adapters"
SCHEME = re.compile(r"([a-z][a-z0-9-]+):(.*)", re.DOTALL)


class Adapter(Protocol):
    """Makes one kind of model answer. Registered in the entry-point group `physbench.adapters`."""

    name: str
    summary: str  # one line for `physbench models list`, with the form of its targets

    def recognises(self, target: str) -> bool:
        """Whether a target is this adapter's. Looks at the scheme or at the first bytes of a file, and runs nothing."""
        ...

    def check(self, target: str) -> None:
        """Raise ModelError if the target cannot be loaded, as far as that is seen without loading it."""
        ...

    def sha256(self, target: str) -> str | None:
        """Hash of what decides the model's answers, or None where it cannot be known."""
        ...

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        """Targets that work here and now, each with its card, if that is known, and what it is."""
        ...

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        """Load the model. Raises ModelError with the remedy."""
        ...


@runtime_checkable
class RecordedAdapter(Protocol):
    """What else an adapter offers whose models know their clips beforehand."""

    def preflight(self, target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
        """What there is to say before a suite is evaluated; UsageError where the target cannot answer it."""
        ...

    def inspect(self, target: str, model_args: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """("missing" | "unusable" | "short" | "extra" | "note" | "result", words): "result" only if some are."""
        ...

    def rows(self, target: str, model_args: Mapping[str, str]) -> list[Row]:
        """The clips that are answered."""
        ...


@dataclass(frozen=True)
class InstalledAdapters:
    """Those that are installed."""

    working: tuple[Adapter, ...]
    broken: dict[str, str]  # name: why it cannot be imported


@cache
def installed_adapters() -> InstalledAdapters:
    """Import all registered adapters; one that is broken does not spoil the others."""
    working: list[Adapter] = []
    broken: dict[str, str] = {}
    for name, entry in entry_points.entries(GROUP).items():
        try:
            working.append(entry.load())
        except Exception as error:
            broken[name] = f"{type(error).__name__}: {error}"
    return InstalledAdapters(tuple(working), broken)


def find_adapter(target: str) -> Adapter:
    """Return the adapter of a target, or raise ModelError with what it is instead and what to do."""
    names = entry_points.entries(GROUP)
    match = SCHEME.fullmatch(target)
    scheme = match[1] if match and not Path(target).exists() else ""
    if scheme in installed_adapters().broken:
        raise ModelError(f"The adapter '{scheme}' cannot be imported ({installed_adapters().broken[scheme]}).")
    for adapter in installed_adapters().working:
        if adapter.name == scheme or (scheme not in names and adapter.recognises(target)):
            return adapter
    from physbench.adapters.unrecognised import describe_unrecognised

    if scheme:
        raise ModelError(f"There is no kind of model '{scheme}:'.{nearest(scheme, names)}")
    raise ModelError(describe_unrecognised(target))


def check_target(target: str, *, trust_code: bool = False) -> None:
    """Raise ModelError if a target cannot be a model, without running or loading anything."""
    find_adapter(target).check(target)


def model_sha256(target: str) -> str | None:
    """Hash of what decides a model's answers: tensors and metadata of a checkpoint, the text of a Python file."""
    return find_adapter(target).sha256(target)


def preflight(target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
    """What there is to say before a suite is evaluated; UsageError where the target cannot answer it.

    Only a kind of model that knows its clips beforehand has something to say.
    """
    adapter = find_adapter(target)
    return adapter.preflight(target, suite, samples, model_args) if isinstance(adapter, RecordedAdapter) else []


def load_model(
    target: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    model_args: Mapping[str, str] | None = None,
    trust_code: bool = False,
) -> Model:
    """Load a model and check that it keeps the protocol. Raises ModelError with the remedy.

    `trust_code` will let formats in that run code when they are read; none of those that exist so far needs it, and
    `file.py:factory` and `python:module:factory` are the user's own word.
    """
    from physbench.adapters.model_contract import check_contract

    adapter = find_adapter(target)
    adapter.check(target)
    model = adapter.load(target, device=device, dtype=dtype, model_args=dict(model_args or {}))
    return check_contract(model, target)
