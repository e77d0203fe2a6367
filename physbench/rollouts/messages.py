"""The messages between the parent and the model's process. This module does not import torch.

What comes from the model's process is checked against the types and bounds below before the parent uses it, see
`message_codec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le, MaxLen, Predicate
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import StateCard
from physbench.adapters.surprise_card import SurpriseCard
from physbench.clips.clip import Clip
from physbench.rollouts.state_inputs import StateInputs

GLOBAL_RANDOMNESS = (
    "The model draws from the global random generators, which a batch shares: draw from `generators`, one a clip, and "
    "put networks into eval mode."
)
MAX_TEXT = 4000  # characters of a reason, a note or a name
MAX_TRACEBACK = 100_000  # characters
MAX_NOTES = 100
MAX_POSITIONS = 100_000  # of a batch


def is_plain(text: str) -> bool:
    """Whether a text holds nothing but printable characters and ends of lines: it is shown on terminals."""
    return all(line.isprintable() for line in text.split("\n"))


Text = Annotated[str, MaxLen(MAX_TEXT), Predicate(is_plain)]
Traceback = Annotated[str, MaxLen(MAX_TRACEBACK), Predicate(is_plain)]
Notes = Annotated[tuple[Text, ...], MaxLen(MAX_NOTES)]
Settings = Annotated[dict[Text, Text], MaxLen(MAX_NOTES)]
Whole = Annotated[int, Ge(0), Le(2**62)]
Seconds = Annotated[float, Ge(0), Le(1e12)]
Positions = Annotated[tuple[Whole, ...], MaxLen(MAX_POSITIONS)]


@dataclass(frozen=True)
class LoadRequest:
    """Load this model: the first message to the process."""

    target: str
    device: str  # "auto", "cpu", "cuda", "cuda:1", "mps"
    dtype: str
    model_args: Mapping[str, str]
    trust_code: bool
    threads: int | None  # of torch; None: its own choice
    privileged: bool = False  # a model of the user's may be handed the clips themselves
    untrained: bool = False  # its weights are drawn anew
    autocast: str | None = None  # type of torch.autocast around its calls
    compile: bool = False  # its networks go through torch.compile


@dataclass(frozen=True)
class LoadedModel:
    """The model is loaded: its card, and where it runs."""

    card: ModelCard
    privileged: bool  # it is handed the clips themselves
    device: Text
    dtype: Text
    device_name: Text  # of the accelerator or the processor
    rss: Whole  # bytes, peak of the process so far
    accelerator: Whole  # bytes, peak on the device so far
    recorded: bool = False  # its answers exist already, as videos: it is told which clip it plays
    notes: Notes = ()  # of a recorded model, or of one behind a server
    reported_sha256: Text | None = None  # of a model behind a server, as the server says
    settings: Settings = field(default_factory=dict)  # that decided its frames, for the manifest


@dataclass(frozen=True)
class LoadedStateModel(LoadedModel):
    """The same of a model that answers with states."""

    card: StateCard


@dataclass(frozen=True)
class LoadedSurpriseModel(LoadedModel):
    """The same of a model that answers with surprise."""

    card: SurpriseCard


@dataclass(frozen=True)
class LoadFailure:
    """The model could not be loaded."""

    reason: Text  # one or two lines for the user
    traceback: Traceback


@dataclass(frozen=True, eq=False)
class RolloutJob:
    """Some positions of one batch, to be rolled out in parts of at most `part_size`.

    B positions, C context frames, T = horizon. The shared memory holds, at `offset`, an array
    (batch_size, stored, 3, H, W) uint8; the frames of position p go to its element p. Of states see `answer_memory`.
    """

    index: int  # of the batch in the plan
    positions: tuple[int, ...]  # B of range(batch_size)
    part_size: int
    batch_size: int
    horizon: int
    stored: int  # frames kept: less than horizon only where a short model is not chained
    chain: bool
    seeds: tuple[int, ...]  # (B,)
    prompts: tuple[str, ...]  # (B,)
    context: NDArray[np.uint8] | None  # (B, C, 3, H, W), whole films for surprise; None for a privileged model
    actions: NDArray[np.float32] | None  # (B, C + T, 6)
    clips: tuple[Clip, ...] | None  # (B,) for a privileged model only
    memory: int  # bytes of the shared memory
    offset: int
    items: tuple[tuple[str, int], ...] = ()  # (B,) clip id and sample, for a recorded model only
    states: StateInputs | None = None  # for a model of states only
    rows: tuple[int, ...] = ()  # of range(batch_size): bodies of each clip, for a model of states only


@dataclass(frozen=True)
class PartStarted:
    """A part of a job has begun."""

    index: Whole
    positions: Positions
    retry: bool  # clip by clip after the batch raised
    time: Seconds  # time.monotonic(), the same clock in both processes


@dataclass(frozen=True)
class PositionResult:
    """The result of one position."""

    position: Whole
    frames: Whole  # written to the shared memory
    chained: Whole
    seconds: Seconds  # the model's own time, its share of the part
    failure: Text | None = None


@dataclass(frozen=True)
class PartFinished:
    """A part of a job is done."""

    index: Whole
    results: Annotated[tuple[PositionResult, ...], MaxLen(MAX_POSITIONS)]


@dataclass(frozen=True)
class DeviceFailure:
    """A part raised an error after which the device cannot be used in this process, so that a new one is needed."""

    index: Whole
    reason: Text


@dataclass(frozen=True)
class RolloutEvent:
    """An irregularity for readers of the run: a batch was halved, tried again, killed, or failed."""

    kind: Text  # "halved", "retried", "restarted" (the same again in a new process), "timeout", "died"
    batch: Whole
    clips: Annotated[tuple[Text, ...], MaxLen(MAX_POSITIONS)]  # BatchItem.id of the affected; the parent fills it in
    detail: Text
    part_size: Annotated[int, Ge(1)] | None = None  # after "halved": clips together from then on, at most
    positions: Positions = ()

    def document(self) -> dict[str, Any]:
        """For manifest.json."""
        document: dict[str, Any] = {"kind": self.kind, "batch": self.batch, "clips": list(self.clips)}
        document["detail"] = self.detail
        if self.part_size is not None:
            document["part_size"] = self.part_size
        return document


@dataclass(frozen=True)
class JobDone:
    """All parts of a job are done."""

    index: Whole
    rss: Whole  # bytes, peak of the process
    accelerator: Whole  # bytes, peak on the device
    free: Whole  # bytes left on the device
    notes: Notes = ()  # warnings about what is allowed


# What the model's process may send.
Report = (
    LoadedModel
    | LoadedStateModel
    | LoadedSurpriseModel
    | LoadFailure
    | PartStarted
    | PartFinished
    | RolloutEvent
    | DeviceFailure
    | JobDone
)
