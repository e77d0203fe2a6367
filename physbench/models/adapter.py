"""Adapters, each of which loads one kind of model, and what some of them can say before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from physbench.support.errors import ModelError, nearest

if TYPE_CHECKING:
    import torch

    from physbench.clips.clip import Row
    from physbench.clips.suite import Suite
    from physbench.models.protocol import Model, ModelCard


class Adapter(Protocol):
    """Loads one kind of model. Adapters are registered in the entry-point group `physbench.adapters`."""

    name: str  # the scheme of its targets

    @property
    def summary(self) -> str:
        """One line for `physbench models list`, with the form of its targets."""
        ...

    def recognises(self, target: str) -> bool:
        """True if the target belongs to this adapter, by its scheme or the first bytes of a file. Runs nothing."""
        return target.startswith(f"{self.name}:")

    def check(self, target: str) -> None:
        """Raise ModelError if the target cannot be loaded, as far as that shows without loading it."""
        ...

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        """Raise ModelError if a model takes no --model-arg of a name, as far as that shows without loading it."""
        return

    def check_view(self, target: str, view: str) -> None:
        """Raise ModelError if the model of a target cannot be asked in a view, one of VIEWS."""
        return

    def sha256(self, target: str) -> str | None:
        """Hash of everything that decides the model's answers, or None if that cannot be known."""
        return None

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        """Targets that can be loaded on this machine: (target, card if known, description)."""
        return []

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        """Load the model, whose arguments were checked. Raises ModelError that says what to do."""
        ...


def refuse_arguments(model_args: Mapping[str, str], kind: str) -> None:
    """Raise ModelError for arguments of a model that takes none. kind: "a graph"."""
    if model_args:
        raise ModelError(f"--model-arg {next(iter(model_args))}: {kind} takes no arguments.")


def without_scheme(target: str, scheme: str) -> str:
    """The path in a target "SCHEME:PATH" or "PATH"; a file may have the name "SCHEME:PATH"."""
    first, _, rest = target.partition(":")
    return rest if first == scheme and not Path(target).exists() else target


def describe_missing_path(path: Path) -> str:
    """The message for a path that does not exist, with the nearest name in its folder."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder != path.parent:
        return f"{path} does not exist: there is no folder {path.parent}. The last one that exists is {folder}."
    try:
        names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        names = []
    return f"{path} does not exist.{nearest(path.name, names, listed=False)}"


@runtime_checkable
class RecordedAdapter(Protocol):
    """An adapter of models whose answers exist already: it can be asked which clips they answer."""

    def preflight(self, target: str, suite: Suite, samples: int, model_args: Mapping[str, str]) -> list[str]:
        """Notes before a suite is evaluated. Raises UsageError where the target answers other clips."""
        ...

    def inspect(self, target: str, model_args: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Check all answers: (kind, text), see `videos.model.inspect_videos`."""
        ...

    def rows(self, target: str, model_args: Mapping[str, str]) -> list[Row]:
        """The clips that have an answer."""
        ...


@runtime_checkable
class CodeAdapter(Protocol):
    """An adapter of files that run code when they are loaded: only with --trust-code."""

    def code_warning(self, target: str) -> str:
        """Code that loading the target would run, for the message without --trust-code."""


@runtime_checkable
class DescribedAdapter(Protocol):
    """An adapter that can say what a model will do to clips before it is loaded."""

    def describe(self, target: str, model_args: Mapping[str, str]) -> list[tuple[str, str]]:
        """(name, text) on sizes, rates, context and prompts. Raises ModelError where an argument cannot work."""
        ...
