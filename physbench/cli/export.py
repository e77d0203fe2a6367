"""`physbench export MODEL OUT`: writes a model as a graph and checks that the graph answers alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from physbench.support.errors import UsageError

GRAPH_SUFFIXES = (".onnx", ".pt2")


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="path/to/file.py:factory, python:package.module:factory or a checkpoint of `simple`, with `init` and "
            "`step`.",
            metavar="MODEL",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="File to write, .onnx or .pt2.", show_default=False)],
    model_arg: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Passed to the model's factory; repeatable.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Largest difference of a value of a frame.")] = 1e-5,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Load files that can run code: .pt2.")] = False,
) -> None:
    """Write a model as a graph, which runs without its code, and check that both answer alike.

    Example: physbench export examples/export_me.py:make model.onnx
    """
    from physbench.cli.console import note, refuse_unwritable
    from physbench.models.graphs.onnx_file import TO_EXPORT, require_libraries
    from physbench.models.load_model import check_target
    from physbench.run.options import parse_model_args

    if out.suffix not in GRAPH_SUFFIXES:
        raise UsageError(f"Expected a file OUT.onnx, got '{out}'. Write {out.with_suffix(GRAPH_SUFFIXES[0])}.")
    if not tolerance > 0:
        raise UsageError(f"--tolerance: expected a number above 0, got {tolerance}.")
    arguments = parse_model_args(model_arg or [])
    if out.suffix == GRAPH_SUFFIXES[0]:
        require_libraries("`physbench export`", TO_EXPORT)
    refuse_unwritable(out.parent)
    check_target(model, trust_code=trust_code)
    note("Tracing the model, and comparing both on two clips and two random contexts ...")

    from physbench.rollout.export_model import export_model

    done = export_model(model, out, model_args=arguments, trust_code=trust_code, tolerance=tolerance)
    for name, difference in done.differences.items():
        note(f"Largest difference over {done.frames} frames, {name}: {difference:.1e}")
    note(f"{done.size / 1e6:.1f} MB. Evaluate it with: physbench eval {done.path}")
    typer.echo(done.path)
