"""`physbench train NAME`: train a reference model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from physbench.cli import completion


def command(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.architecture_names,
            help="A kind of world model: simple, vae-mdn-rnn (-spatial), rssm, token-ar, diffusion, video-dit, "
            "jepa-frames (pictures, by latents; want a GPU, or hours), objects (slots and learned interactions; "
            "half an hour on two cores), jepa (states its surprise; minutes), states-graph, states-transformer (exact "
            "states; minutes).",
            metavar="NAME",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the training. [default: runs/train-<name>]")
    ] = None,
    clips: Annotated[int, typer.Option(metavar="N", help="Clips to learn from, over all tasks.")] = 1260,
    suite: Annotated[
        str, typer.Option(help="train, or combo-6, combo-30 or combo-60: so many templates of combined elements.")
    ] = "train",
    size: Annotated[str, typer.Option(metavar="S|M", help="Size of the network.")] = "S",
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="Time for training, once the clips are made. Weights then depend on the speed."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Steps of the main stage. [default: the architecture's]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first weights and of every draw.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the training in --out.")] = False,
) -> None:
    """Train a reference model on clips to learn from: a checkpoint for `physbench eval` and a sample picture."""
    from physbench.cli.console import note
    from physbench.support.errors import UsageError

    if minutes is not None and steps is not None:
        raise UsageError("Give --minutes or --steps, not both.")
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed: expected a whole number from 0 to 2**63 - 1, got {seed}.")
    folder = out or Path("runs") / f"train-{name}"
    from physbench.reference.train import pick_device, train
    from physbench.run.process import interruptible

    try:
        with interruptible():
            done = train(
                name, out=folder, clips=clips, suite=suite, size=size, minutes=minutes, steps=steps, seed=seed,
                device=pick_device(name, device), resume=resume,
            )  # fmt: skip
    except KeyboardInterrupt:
        again = f"physbench train {name} --out {folder} --clips {clips} --seed {seed} --device {device} --resume"
        note(
            "Continue with: "
            + again
            + (f" --suite {suite}" if suite != "train" else "")
            + (f" --size {size}" if size != "S" else "")
            + (f" --steps {steps}" if steps else "")
            + (f" --minutes {minutes!r}" if minutes else "")
        )
        raise
    total = sum(done.seconds.values())
    note(f"Trained in {total / 60:.1f} minutes ({', '.join(f'{k} {v:.0f} s' for k, v in done.seconds.items())}).")
    note(f"Sample picture: {done.picture}")
    note(f"Evaluate it with: physbench eval {done.checkpoint}{done.options}")
    typer.echo(done.checkpoint)
