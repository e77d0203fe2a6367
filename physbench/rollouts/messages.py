"""What the parent and the model's process say to each other. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.clips.clip import Clip

GLOBAL_RANDOMNESS = (
    "The model draws from the global random generators, which a batch shares: draw from `generators`, one a clip, and "
    "put networks into eval mode."
)


@dataclass(frozen=True)
class LoadRequest:
    """Load this model. First message to the process."""

    target: str
    device: str  # "auto", "cpu", "cuda", "cuda:1", "mps"
    dtype: str
    model_args: Mapping[str, str]
    trust_code: bool
    threads: int | None  # of torch; None: its own choice


@dataclass(frozen=True)
class LoadedModel:
    """The model is loaded: what it says of itself and where it runs."""

    card: ModelCard
    privileged: bool
    device: str
    dtype: str
    device_name: str  # of the accelerator or the processor
    rss: int  # bytes, peak of the process so far
    accelerator: int  # bytes, peak on the device so far
    recorded: bool = False  # it plays back what it answered before
    notes: tuple[str, ...] = ()  # what it has to say, having been loaded


@dataclass(frozen=True)
class LoadFailure:
    """The model could not be loaded."""

    reason: str  # one or two lines for the user
    traceback: str


@dataclass(frozen=True, eq=False)
class RolloutJob:
    """Some positions of one batch, to be rolled out in parts of at most `part_size`.

    B positions, C context frames, T = horizon. Frames go to the shared memory, planar, at `offset`: the place of
    position p of `batch_size` is frames[p] of an array (batch_size, stored, 3, H, W) uint8.
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
    context: NDArray[np.uint8] | None  # (B, C, H, W, 3); None for a privileged model
    actions: NDArray[np.float32] | None  # (B, C + T, 6)
    clips: tuple[Clip, ...] | None  # (B,) for a privileged model only
    memory: int  # bytes of the shared memory
    offset: int
    items: tuple[tuple[str, int], ...] = ()  # (B,) clip id and sample, for a recorded model only


@dataclass(frozen=True)
class PartStarted:
    """A part of a job has begun."""

    index: int
    positions: tuple[int, ...]
    retry: bool  # clip by clip after the batch raised
    time: float  # time.monotonic(), the same clock in both processes


@dataclass(frozen=True)
class PositionResult:
    """One position is done."""

    position: int
    frames: int  # written to the shared memory
    chained: int
    seconds: float  # the model's own time, its share of the part
    failure: str | None = None


@dataclass(frozen=True)
class PartFinished:
    """A part of a job is done."""

    index: int
    outcomes: tuple[PositionResult, ...]


@dataclass(frozen=True)
class DeviceFailure:
    """The part raised an error after which the device cannot be used from this process: it wants to be replaced."""

    index: int
    reason: str


@dataclass(frozen=True)
class RolloutEvent:
    """Something that a reader of the run should know: a batch was halved, tried again, killed, or failed."""

    kind: str  # "halved", "retried", "timeout", "died", "note"
    batch: int
    clips: tuple[str, ...]  # Item.id of those that it touches; filled in by the parent
    detail: str
    part_size: int | None = None  # after "halved": at most so many clips together from here on
    positions: tuple[int, ...] = ()

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

    index: int
    rss: int  # bytes, peak of the process
    accelerator: int  # bytes, peak on the device
    free: int  # bytes left on the device
    notes: tuple[str, ...] = field(default=())  # what is allowed and yet worth saying
