"""What physbench finds while a model trains, in TensorBoard, Weights & Biases and Lightning."""

import physbench


def to_tensorboard(writer, result, step):
    """`writer`: torch.utils.tensorboard.SummaryWriter."""
    for name, value in result.scalars().items():
        writer.add_scalar(name, value, step)
    writer.add_figure("physbench", result.plot(), step)
    writer.add_text("physbench", "\n\n".join(result.sentences), step)


def to_wandb(run, result, step):
    """`run`: what wandb.init returned."""
    import wandb

    table = wandb.Table(dataframe=result.to_pandas())
    found = {**result.scalars(), "physbench/tasks": table, "physbench/figure": wandb.Image(result.plot())}
    run.log(found, step=step, commit=True)


def lightning_callback(every=1, **options):
    """A callback for lightning.Trainer: evaluates the module, which has a card and a rollout, every so many epochs."""
    from lightning.pytorch import Callback

    class Physbench(Callback):
        def on_validation_epoch_end(self, trainer, module):
            if not trainer.sanity_checking and trainer.current_epoch % every == 0:
                result = physbench.evaluate(module, report=False, **options)
                module.log_dict(result.scalars(detail="axes"))

    return Physbench()
