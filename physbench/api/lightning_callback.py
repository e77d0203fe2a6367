"""A callback for Lightning that evaluates the module while it trains."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from physbench.api.evaluate import evaluate
from physbench.support.errors import ModelError, PhysbenchError, UsageError


def _callback_class() -> Any:
    """The class of callbacks of the library that the program has imported, or else of the one that is installed."""
    lightning_names = ("lightning", "pytorch_lightning")  # of two names, whose callbacks are not the same class
    modules = sorted((name for name in lightning_names if find_spec(name)), key=lambda name: name not in sys.modules)
    if not modules:
        return object
    return import_module("lightning.pytorch" if modules[0] == "lightning" else modules[0]).Callback


CALLBACK = _callback_class()


class LightningCallback(CALLBACK):  # type: ignore[misc, valid-type]
    """Evaluates the module, which has a `card` and a `rollout`, after a validation, or after an epoch without one.

    Overall, axes, `lawful_seconds` and `early` are logged as by `module.log`, so that a checkpoint can be chosen by
    "physbench/overall". Of several processes the first evaluates, and the others wait for it. Where weights are spread
    over the processes, as by FSDP, a call needs all of them: evaluate checkpoints of such a training.

    What was asked wrongly ends the training; where an evaluation fails later, as on a full disk, it is warned of.

    Args:
        every: Epochs from one evaluation to the next.
        quick: See `physbench.evaluate`. Without it each evaluation leaves a folder, unless keep=False.
        options: Of `physbench.evaluate`.
    """

    def __init__(self, every: int = 1, *, quick: bool = True, **options: Any) -> None:
        if CALLBACK is object:
            raise PhysbenchError("LightningCallback needs Lightning: pip install lightning")
        super().__init__()
        if every < 1:
            raise UsageError(f"every: expected at least 1 epoch, got {every}.")
        self.every = every
        self.options: dict[str, Any] = {"quick": quick, "report": False, **options}

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self._evaluate(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.enable_validation:
            self._evaluate(trainer, pl_module)

    def _evaluate(self, trainer: Any, module: Any) -> None:
        if trainer.state.fn == "fit" and (trainer.current_epoch + 1) % self.every:
            return
        scalars: dict[str, float] = {}
        if trainer.is_global_zero:
            try:
                scalars = evaluate(module, **self.options).scalars(detail="axes")
            except (UsageError, ModelError):
                raise
            except PhysbenchError as error:
                warnings.warn(f"physbench has no scores of epoch {trainer.current_epoch}: {error}", stacklevel=2)
        module.log_dict(trainer.strategy.broadcast(scalars))
