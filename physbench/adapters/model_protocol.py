"""What a model must offer. The harness knows models through these protocols only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from physbench.errors import ModelError
from physbench.world.scene import HISTORY, PHYSICS_HZ, RenderSpec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from physbench.clips.clip import Clip


@dataclass(frozen=True)
class ModelCard:
    """What the harness must know before it makes clips."""

    name: str
    image_size: tuple[int, int]  # (height, width) px
    fps: float  # divides 1200
    context_frames: int
    max_horizon: int | None = None  # frames; None: any
    uses_actions: bool = False
    uses_prompt: bool = False
    stochastic: bool = False
    repeat_first: bool = False  # the first frame of the history may be repeated where context reaches further back
    track: Literal["zero-shot", "trained", "privileged"] = "zero-shot"  # trained: on the `train` split

    @property
    def spec(self) -> RenderSpec:
        """The render spec that the card asks for; a rate given as 15 and one given as 15.0 are the same."""
        return RenderSpec(int(self.image_size[0]), int(self.image_size[1]), float(self.fps))

    @property
    def seen_frames_at_most(self) -> int:
        """Number of frames in the history at the card's rate."""
        return int(HISTORY * self.fps + 1e-9) + 1

    @property
    def scored_context(self) -> int:
        """Context frames that are tracked and scored: without the repetitions that `repeat_first` pads with."""
        return min(self.context_frames, self.seen_frames_at_most)


def check_card(card: ModelCard) -> ModelCard:
    """Return the card, or raise ModelError with what is wrong and a value that works."""
    if not isinstance(card.name, str) or not card.name.strip() or not card.name.isprintable():
        raise ModelError(f"Model card: expected a name of printable characters, got {card.name!r:.80}.")
    where = f"Model card of {card.name}"
    height, width = card.image_size
    if min(height, width) < 32 or max(height, width) > 2048:
        raise ModelError(f"{where}: expected image_size between 32 and 2048 px, got {height} x {width}.")
    steps = PHYSICS_HZ / card.fps if card.fps > 0 else 0.0
    if not 4 <= card.fps <= 60 or abs(steps - round(steps)) > 1e-9:
        raise ModelError(f"{where}: expected fps between 4 and 60 that divides {PHYSICS_HZ}, got {card.fps:g}.")
    if card.context_frames < 1:
        raise ModelError(f"{where}: expected at least 1 context frame, got {card.context_frames}.")
    most = card.seen_frames_at_most
    if card.context_frames > most and not card.repeat_first:
        raise ModelError(
            f"{where}: {card.context_frames} context frames at {card.fps:g} frames/s need more than the {HISTORY:g} s "
            f"of history; the largest that works is {most} (or set repeat_first=True)."
        )
    if card.max_horizon is not None and card.max_horizon < 1:
        raise ModelError(f"{where}: expected max_horizon of at least 1 frame or None, got {card.max_horizon}.")
    return card


@runtime_checkable
class FrameModel(Protocol):
    """A model that answers with frames."""

    card: ModelCard

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor | Iterator[Tensor]:
        """Continue the context.

        context (B, C, 3, H, W) in [0, 1] on the model's device -> (B, horizon, 3, H, W), whole or in chunks along time.
        actions (B, C + horizon, 6): hue of the pushed body as RGB, impulse in N s (world axes), zeros for none; at most
        one a clip in 0.25 s, in the row of the first frame that shows its effect. None where no clip has actions,
        but zeros where a clip is one without its pushes.
        generators: one per clip and sample, seeded from the clip, so that results do not depend on the batch.
        """
        ...


@runtime_checkable
class PrivilegedModel(Protocol):
    """A model that gets the clips themselves: oracle, physicist, saboteurs. Its card and every table say so."""

    card: ModelCard

    def rollout_clips(
        self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]
    ) -> Tensor | Iterator[Tensor]:
        """Clips of one task family or of several -> (B, horizon, 3, H, W) in [0, 1], whole or in chunks along time."""
        ...


@runtime_checkable
class RecordedModel(Protocol):
    """A model that answered before: its videos are played back. `notes` are said when it is loaded and later on."""

    card: ModelCard
    notes: list[str]

    def play(self, item: tuple[str, int], *, context: NDArray[np.uint8], horizon: int) -> Iterator[NDArray[np.uint8]]:
        """Up to `horizon` frames (H, W, 3) of (clip id, sample), one by one; context (C, H, W, 3).

        Fewer where the video ends early. Raises ModelError where there is none, or none that can be used.
        """
        ...


Model = FrameModel | PrivilegedModel | RecordedModel
