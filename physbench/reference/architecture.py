"""The base class of architectures: makes a model of a configuration or a checkpoint, and validates it in training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.data.clip_dataset import ClipEpisodes
from physbench.models.networks import take_weights
from physbench.models.protocol import FrameModel, ModelCard, StateModel, SurpriseModel
from physbench.reference.training_loop import Episodes, TrainingStage, check_weights, generator, load_weights
from physbench.support.errors import ModelError, UsageError, nearest
from physbench.world.scene import RenderSpec

CHUNK_FRAMES = 15  # predicted at a time
ReferenceModel = FrameModel | StateModel | SurpriseModel


def tuple_of(value: Any) -> Any:
    """A pair that JSON has made a list of, as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def continued(
    model: Any, context: Tensor, horizon: int, actions: Tensor | None, generators: Sequence[torch.Generator]
) -> Tensor:
    """Frames (B, horizon, 3, H, W) of a model after a context (B, C, 3, H, W) in [0, 1].

    A model with a largest horizon goes on from its own last frames, as in an evaluation.
    """
    count, parts, left = context.shape[1], [context.to(model.device)], horizon
    while left > 0:
        ahead = min(left, model.card.max_horizon or left)
        done = horizon - left
        given = None if actions is None else actions[:, done : done + count + ahead]
        seen = torch.cat(parts, 1)[:, -count:]
        answer = model.rollout(
            seen, horizon=ahead, actions=given, prompts=[""] * len(seen), generators=list(generators)
        )
        parts.append((answer if isinstance(answer, Tensor) else torch.cat(list(answer), 1)).to(parts[0]))
        left -= ahead
    return torch.cat(parts[1:], 1)


# How near a model comes to held-out clips while it is trained.

SPANS = (0.25, 0.5, 1.0, 2.0)  # s from the hand-over, at most to the end of the clips


@dataclass(frozen=True)
class Validation:
    """Readings of a model on held-out clips, each (E_still - E) / (E_still + E): 0 as if nothing changed, 1 the truth.

    E is an error of the model, E_still that of an answer in which nothing changes.
    """

    names: tuple[str, ...]
    skills: Callable[[], list[float]]  # one for each name; the model is in eval mode


def skill_of_errors(error: Tensor, still: Tensor, least: float) -> float:
    """The skill from errors (n,) of n clips, mean over those of which `still` (n,) exceeds `least`; NaN for none.

    An error that is not finite counts as infinite: -1.
    """
    ratio = (error / still)[still > least].nan_to_num(torch.inf, torch.inf)
    return float(torch.where(ratio.isinf(), -1.0, (1 - ratio) / (1 + ratio)).mean())


def validation_clips(episodes: Episodes) -> list[int]:
    """At most 28 indices that are spread over all episodes."""
    count = len(episodes)
    chosen: list[int] = torch.linspace(0, count - 1, min(28, count)).long().tolist()
    return chosen


def span_frames(fps: float, shown: int) -> dict[str, int]:
    """Frames of each of SPANS by its name, at most the `shown` ones that all clips have after the hand-over."""
    return {f"within {min(span, shown / fps):.3g} s": min(max(1, round(span * fps)), shown) for span in SPANS}


def frame_validation(model: Any, episodes: Episodes) -> Validation:
    """Root mean square error of all pixels, as `appearance/persistence-skill` has it, within each of SPANS."""
    count = model.card.context_frames
    clips = [episodes.frames(index) for index in validation_clips(episodes)]
    spans = span_frames(model.card.fps, min(len(frames) for frames in clips) - count)
    most = max(spans.values())
    videos = torch.stack([frames[: count + most] for frames in clips])

    def skills() -> list[float]:
        context = videos[:, :count].to(model.device).float() / 255
        generators = [generator("validation", index) for index in range(len(context))]
        frames = continued(model, context, most, None, generators).float()
        truth = videos[:, count:].to(frames.device).float() / 255
        own = (frames - truth).square().mean((2, 3, 4))
        frozen = (context[:, -1:] - truth).square().mean((2, 3, 4))
        return [
            skill_of_errors(own[:, :each].mean(1).sqrt(), frozen[:, :each].mean(1).sqrt(), 1e-5)
            for each in spans.values()
        ]

    return Validation(tuple(spans), skills)


# What a configuration may ask for: that of a checkpoint comes from whoever wrote the file.

MOST_OF_ANY = 4096  # px, channels, frames, ...
MOST_IN_A_TABLE = 2**26  # numbers of a tensor that is made beside the weights; 12 pairs of frames of 64 px take 2**19


def check_numbers(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Raise ModelError where numbers of a configuration cannot be those of a network.

    usual: Those of the architecture. What is whole, a flag or a list there must be so here; other kinds of value are
    the architecture's own.
    """
    for key, value in config.items():
        got = f"; {key} is {value!a:.60}."
        if key == "temperature":
            if type(value) not in (int, float) or not 0 <= value < math.inf:
                raise ModelError(f"Expected a number from 0 on as temperature in the configuration, got {value!a:.60}.")
        elif key == "fps":
            if type(value) not in (int, float) or not 0 < value <= MOST_OF_ANY:
                raise ModelError(f"Expected a number above 0 and up to {MOST_OF_ANY} in the configuration{got}")
        elif isinstance(usual[key], bool):
            if not isinstance(value, bool):
                raise ModelError(f"Expected true or false in the configuration{got}")
        elif isinstance(usual[key], list | tuple):
            if not isinstance(value, list | tuple) or not value or not all(map(_is_size, value)):
                raise ModelError(f"Expected a list of whole numbers from 1 to {MOST_OF_ANY} in the configuration{got}")
        elif isinstance(usual[key], int) and not _is_size(value):
            raise ModelError(f"Expected a whole number from 1 to {MOST_OF_ANY} in the configuration{got}")
    if config["width"] % config["heads"] if "heads" in config else 0:
        raise ModelError(f"Expected a width that {config['heads']} heads divide but got {config['width']}.")


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= MOST_OF_ANY


MAKERS = frozenset(  # of tensors
    (
        torch.arange, torch.as_tensor, torch.asarray, torch.bartlett_window, torch.blackman_window, torch.empty,
        torch.empty_permuted, torch.empty_strided, torch.eye, torch.full, torch.hamming_window, torch.hann_window,
        torch.kaiser_window, torch.linspace, torch.logspace, torch.normal, torch.ones, torch.rand, torch.randint,
        torch.randn, torch.randperm, torch.range, torch.scalar_tensor, torch.tensor, torch.tril_indices,
        torch.triu_indices, torch.zeros,
    )
)  # fmt: skip


class WithoutMemory(TorchFunctionMode):
    """A context in which tensors are made on the meta device: with a shape, without memory.

    `torch.device("meta")` does that, too, but looks up once a process which functions make tensors: entered first while
    a library has replaced one of them (transformers does `torch.linspace`), it never knows that one again.

    Attributes:
        largest: Numbers of the largest tensor that a function has returned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in MAKERS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        made = func(*args, **kwargs)
        if isinstance(made, Tensor):
            self.largest = max(self.largest, made.numel())
        return made


class Architecture(ABC):
    """An architecture, as the harness and the training use it. Registered in `physbench.architectures`."""

    name: str
    summary: str
    steps: int  # of its main stage
    threads: int | None  # of training; None: all
    exact: bool = False  # float32 weights whatever the dtype of the frames
    defaults: Mapping[str, Any]
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}}  # what differs from the defaults
    model_class: type[Any]  # of a network, a card, a device and a dtype
    keeps_nearest = False  # whether a training ends with the weights that are nearest by `validation`
    validation_of = "pixels"  # what `validation` compares with the truth, in words
    sample_of = "what the model makes of it"  # what `sample` shows below the truth

    def config(self, size: str = "S") -> dict[str, Any]:
        """The configuration of a size. Raises UsageError where there is none of this name."""
        if size not in self.sizes:
            raise UsageError(f"{self.name} has no size {size}. Use --size {' or '.join(self.sizes)}.")
        return {**self.defaults, **self.sizes[size]}

    @abstractmethod
    def card(self, config: Mapping[str, Any]) -> ModelCard:
        """The card of a model that `physbench train` makes."""

    @abstractmethod
    def net(self, config: Mapping[str, Any]) -> nn.Module:
        """The network, with its initial weights. Made without memory first: it must not read values of its tensors."""

    def wrap(self, net: nn.Module, card: ModelCard, device: torch.device, dtype: torch.dtype) -> ReferenceModel:
        """Make a model of a network."""
        model: ReferenceModel = self.model_class(net.eval(), card, device, dtype)
        return model

    @abstractmethod
    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """The stages of its training; `steps` is the number of the main one."""

    def validation(self, model: Any, episodes: Episodes) -> Validation:
        """Readings of held-out episodes that a training writes down as it goes on."""
        return frame_validation(model, episodes)

    def clip_spec(self, card: ModelCard) -> RenderSpec:
        """The clips that it is trained on."""
        return card.spec

    def episodes(self, rows: Sequence[Row], card: ModelCard, store: ClipStore) -> ClipEpisodes:
        """Training episodes of stored clips."""
        return ClipEpisodes(rows, self.clip_spec(card), card.context_frames, store)

    def sample_episode(self, model: Any, episodes: ClipEpisodes, index: int, numbers: torch.Generator) -> Tensor:
        """Frames (T - C, 3, H, W) uint8 that a model predicts of an episode, to be looked at."""
        return self.sample(model, episodes.frames(index), episodes.actions(index), numbers)

    def sample(self, model: Any, frames: Tensor, actions: Tensor | None, numbers: torch.Generator) -> Tensor:
        """Prediction of a model for an episode, as a preview: frames (T - C, 3, H, W) uint8.

        Args:
            model: Made by `wrap`.
            frames: The episode (T, 3, H, W) uint8, C context frames first.
            actions: Of the episode (T, 6), or None.
            numbers: Random numbers of this episode.
        """
        count = model.card.context_frames
        context = frames[None, :count].float() / 255
        whole = continued(model, context, len(frames) - count, None if actions is None else actions[None], [numbers])
        return (whole[0].float().cpu() * 255).round().to(torch.uint8)

    def build(self, config: Mapping[str, Any]) -> ReferenceModel:
        """An untrained model."""
        config = self.checked(config)
        return self.wrap(self.net(config), self.card(config), torch.device("cpu"), torch.float32)

    def checked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration with the defaults of what it leaves out. Raises ModelError for what no network has."""
        for key in config:
            if key not in self.defaults:
                raise ModelError(f"The configuration of {self.name} has no {key!a:.60}.{nearest(key, self.defaults)}")
        whole = {**self.defaults, **config}
        check_numbers(whole, self.defaults)
        return whole

    def _check_memory(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Raise ModelError where a configuration asks for other weights than a checkpoint holds, or for large tables.

        No tensor is made: some words of a small file can ask for more memory than a machine has.
        """
        large = [
            f"{key} {config[key]} (usual: {usual})"
            for key, usual in self.defaults.items()
            if type(usual) is int and config[key] > usual
        ]
        larger = f" Its configuration has {', '.join(large)}." if large else ""
        with WithoutMemory() as made:
            net = self.net(config)
        try:
            check_weights(net, tensors)
        except ModelError as error:
            raise ModelError(f"{error}{larger}") from None
        most = max(MOST_IN_A_TABLE, max(each.numel() for each in tensors.values()))
        if made.largest > most:
            raise ModelError(
                f"Expected tables of at most {most:,} numbers beside the weights, got {made.largest:,}.{larger}"
            )

    def load(
        self, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: ModelCard, device: torch.device,
        dtype: torch.dtype,
    ) -> ReferenceModel:  # fmt: skip
        """Make a model from the tensors of a checkpoint. Raises ModelError where these do not fit."""
        whole = self.checked(config)
        own = self.card(whole)
        for field in ("image_size", "fps", "context_frames"):
            if tuple_of(getattr(card, field)) != tuple_of(getattr(own, field)):
                raise ModelError(
                    f"Its card says {field} {getattr(card, field)}, its configuration {getattr(own, field)}. "
                    "Write the card that it was trained with."
                )
        self._check_memory(whole, tensors)
        net = self.net(whole)
        load_weights(net, tensors, device, torch.float32 if self.exact else dtype)
        model = self.wrap(net, card, device, dtype)
        setattr(model, "redraw", lambda: take_weights(net, self.net(whole), card.name))  # noqa: B010 - no field
        return model
