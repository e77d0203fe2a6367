"""What the architectures have in common: from a configuration or the tensors of a checkpoint to a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.adapters.model_protocol import FrameModel, ModelCard
from physbench.reference.training_loop import Episodes, TrainingStage, load_weights


class Architecture(ABC):
    """An architecture as the harness and the training know it."""

    name: str
    summary: str
    steps: int  # of its main stage
    threads: int | None  # of training; None: all
    exact: bool = False  # float32 weights whatever the dtype of the frames
    defaults: Mapping[str, Any]

    def config(self) -> dict[str, Any]:
        """The default configuration."""
        return dict(self.defaults)

    @abstractmethod
    def card(self, config: Mapping[str, Any]) -> ModelCard:
        """The card of a model that `physbench train` makes."""

    @abstractmethod
    def net(self, config: Mapping[str, Any]) -> nn.Module:
        """The learned parts, with their first weights."""

    @abstractmethod
    def wrap(self, net: nn.Module, card: ModelCard, device: torch.device, dtype: torch.dtype) -> FrameModel:
        """A model from its learned parts."""

    @abstractmethod
    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """The stages of its training; `steps` are those of the main one."""

    def build(self, config: Mapping[str, Any]) -> FrameModel:
        """An untrained model."""
        config = {**self.defaults, **config}
        return self.wrap(self.net(config), self.card(config), torch.device("cpu"), torch.float32)

    def load(
        self, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: ModelCard, device: torch.device,
        dtype: torch.dtype,
    ) -> FrameModel:  # fmt: skip
        """A model from the tensors of a checkpoint."""
        net = self.net({**self.defaults, **config})
        load_weights(net, tensors, device, torch.float32 if self.exact else dtype)
        return self.wrap(net, card, device, dtype)
