"""`physbench probe MODEL`: which physical quantities a linear read-out takes from a model's latents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from physbench.cli import completion

FORMATS = (".json", ".csv", ".md")


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="A model with an `encode`: reference:NAME, a checkpoint, transformers:DIR (V-JEPA 2), "
            "path/to/file.py:factory, python:package.module:factory.",
            metavar="MODEL",
            show_default=False,
            autocompletion=completion.model_names,
        ),
    ],
    suite: Annotated[
        str, typer.Option(help="core, lite, smoke, full or train.", autocompletion=completion.suite_names)
    ] = "core",
    tasks: Annotated[
        str | None, typer.Option(metavar="GLOB|FILE.py", help="Only these tasks of the suite, or your own.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most N clips in all.", min=1)] = None,
    model_arg: Annotated[
        list[str] | None, typer.Option("--model-arg", metavar="K=V", help="Passed to the model's factory; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    workers: Annotated[int | None, typer.Option(help="Processes that make clips. [default: cores]", min=0)] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option("--out", metavar="FILE", help="Also write the result: .json, .csv or .md; repeatable."),
    ] = None,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Load files that can run code: .pt2.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Say which physical quantities a linear read-out takes from a model's latents.

    Position, velocity, size, mass, restitution, position behind a screen and energy, each beside the untrained copy of
    the model and beside pixels; on other families; and the law of force that probed orbits imply. See docs/probes.md.

    Example: physbench probe reference:rssm --suite lite --out rssm.md
    """
    from physbench.cli.console import refuse_unwritable
    from physbench.run.options import parse_model_args
    from physbench.support.errors import UsageError

    for file in out or ():
        if file.suffix not in FORMATS:
            raise UsageError(f"--out {file}: expected a name that ends in {', '.join(FORMATS)}.")
        refuse_unwritable(file.parent)
    arguments = parse_model_args(model_arg)

    from physbench.cli.console import stdout_console
    from physbench.probes.document import csv_table, markdown, print_probes
    from physbench.probes.run import probe_model
    from physbench.support.files import write_text
    from physbench.support.processes import worker_count

    document = probe_model(
        model,
        suite=suite,
        limit=limit,
        tasks=tasks,
        device=device,
        dtype=dtype,
        model_args=arguments,
        trust_code=trust_code,
        workers=worker_count(workers),
    )
    writers = {".json": lambda: document.model_dump_json(indent=1) + "\n", ".csv": lambda: csv_table(document)}
    for file in out or ():
        write_text(file, writers.get(file.suffix, lambda: markdown(document))())
    if as_json:
        typer.echo(document.model_dump_json(indent=1))
    else:
        print_probes(document, stdout_console())
