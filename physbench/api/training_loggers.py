"""Passes a result on to what a training is watched with: TensorBoard and Weights & Biases. Lightning has a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.api.evaluation import Evaluation


def to_tensorboard(writer: Any, result: Evaluation, step: int) -> None:
    """Write scalars, the figure of skills and the answer in words.

    Args:
        writer: A SummaryWriter, of torch.utils.tensorboard or of tensorboardX.
        result: What `physbench.evaluate` returned.
        step: Of the training.
    """
    for name, value in result.scalars().items():
        writer.add_scalar(name, value, step)
    writer.add_figure("physbench", result.plot(), step)
    writer.add_text("physbench", "\n\n".join(result.sentences), step)


def to_wandb(run: Any, result: Evaluation, step: int) -> None:
    """Log scalars, the table of tasks and the figure of skills.

    They join what else is logged at this step, before or after them, and are drawn over `physbench/step`. A run takes
    nothing for a step before its last one: there they join that.

    Args:
        run: What wandb.init returned.
        result: What `physbench.evaluate` returned.
        step: Of the training.
    """
    import wandb

    run.define_metric("physbench/*", step_metric="physbench/step")
    record: dict[str, Any] = {"physbench/step": step, **result.scalars()}
    record |= {"physbench/tasks": wandb.Table(dataframe=result.to_pandas())}
    record |= {"physbench/figure": wandb.Image(result.plot())}
    run.log(record, step=max(step, run.step))
