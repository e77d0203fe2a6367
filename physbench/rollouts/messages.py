"""The messages between the parent and the model's process. This module does not import torch."""

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
    """Load this model: the first message to the process."""

    target: str
    device: str  # "auto", "cpu", "cuda", "cuda:1", "mps"
    dtype: str
    model_args: Mapping[str, str]
    trust_code: bool
    threads: int | None  # of torch; None: its own choice


@dataclass(frozen=True)
class LoadedModel:
    """The model is loaded: its card, and where it runs."""

    card: ModelCard
    privileged: bool
    device: str
    dtype: str
    device_name: str  # of the accelerator or the processor
    rss: int  # bytes, peak of the process so far
    accelerator: int  # bytes, peak on the device so far
    recorded: bool = False  # its answers exist already, as videos
    notes: tuple[str, ...] = ()  # of a recorded model
    settings: Mapping[str, str] = field(default_factory=dict)  # that decided its frames, for the manifest


@dataclass(frozen=True)
class LoadFailure:
    """The model could not be loaded."""

    reason: str  # one or two lines for the user
    traceback: str


@dataclass(frozen=True, eq=False)
class RolloutJob:
    """Some positions of one batch, to be rolled out in parts of at most `part_size`.

    B positions, C context frames, T = horizon. The shared memory holds, at `offset`, an array
    (batch_size, stored, 3, H, W) uint8; the frames of position p go to its element p.
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
    """The result of one position."""

    position: int
    frames: int  # written to the shared memory
    chained: int
    seconds: float  # the model's own time, its share of the part
    failure: str | None = None


@dataclass(frozen=True)
class PartFinished:
    """A part of a job is done."""

    index: int
    results: tuple[PositionResult, ...]


@dataclass(frozen=True)
class DeviceFailure:
    """A part raised an error after which the device cannot be used in this process, so that a new one is needed."""

    index: int
    reason: str


@dataclass(frozen=True)
class RolloutEvent:
    """An irregularity for readers of the run: a batch was halved, tried again, killed, or failed."""

    kind: str  # "halved", "retried", "timeout", "died", "note"
    batch: int
    clips: tuple[str, ...]  # BatchItem.id of those that are affected; filled in by the parent
    detail: str
    part_size: int | None = None  # after "halved": clips together from then on, at most
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
    notes: tuple[str, ...] = field(default=())  # warnings about what is allowed
