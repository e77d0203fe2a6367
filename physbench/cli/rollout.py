"""`physbench rollout MODEL`: the first stage of an evaluation alone, for machines that have a GPU and no PyBullet."""

from __future__ import annotations

import shlex

import typer

from physbench.cli import eval_options as o
from physbench.support.errors import UsageError


def command(
    context: typer.Context,
    model: o.ModelName,
    suite: o.SuiteName = "core",
    model_arg: o.ModelArguments = None,
    tasks: o.TaskNames = None,
    scorers: o.ScorerNames = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize = "auto",
    look: o.Look = None,
    prompt_motion: o.PromptMotion = False,
    samples: o.Samples = 1,
    seed: o.Seed = 0,
    limit: o.Limit = None,
    fresh_seeds: o.FreshSeeds = None,
    dtype: o.Dtype = "float32",
    autocast: o.Autocast = None,
    compile: o.Compile = False,
    timeout: o.Timeout = 600.0,
    chain: o.Chain = True,
    clips: o.Clips = None,
    shard: o.ShardOf = None,
    out: o.Out = None,
    keep_rollouts: o.KeepRollouts = "shown",
    diagnosis: o.Diagnosis = True,
    executor: o.ExecutorName = "local",
    address: o.Address = None,
    workers: o.Workers = None,
    resume: o.Resume = False,
    fresh: o.Fresh = False,
    trust_code: o.TrustCode = False,
    privileged: o.Privileged = False,
    note: o.Note = "",
    tag: o.Tags = None,
    debug: o.Debug = False,
) -> None:
    """Roll a model out into a run folder, and nothing else. `score` and `finish` go on, here or on another machine.

    Example: physbench rollout reference:objects --suite smoke --out runs/a
    """
    if suite == "expectation":
        raise UsageError("The suite expectation shows films: run `physbench eval MODEL --suite expectation`.")
    options = o.asked_options(context.params)

    from physbench.cli.console import note as note_line
    from physbench.cli.eval_options import asked_run
    from physbench.run.evaluate import evaluate

    with asked_run(context, options, evaluate, stages=("rollout",)) as place:
        name = place.named(place.folder.path)
    note_line(f"Then: physbench score {shlex.quote(name)}")
    typer.echo(name)
