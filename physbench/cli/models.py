"""Models: `models` lists and checks what can be evaluated; `train`, `export` and `probe` take one."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from physbench.cli import console
from physbench.cli.console import debugging, note, refuse_unwritable, stdout_console, warn
from physbench.result.formats import counted
from physbench.run.interruption import interruptible
from physbench.run.options import check_timeout, parse_model_args
from physbench.support.errors import UsageError
from physbench.support.files import write_text
from physbench.support.processes import worker_count

if TYPE_CHECKING:
    from physbench.clips.clip import Row
    from physbench.models.protocol import ModelCard
    from physbench.rollout.check_model import CheckedModel

NOTHING = "nothing wrong was found"
ModelArg = Annotated[list[str] | None, typer.Option(metavar="K=V", help="Passed to the model's factory; repeatable.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Dtype = Annotated[str, typer.Option(help="float32, float16, bfloat16 or float64.")]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Load files that can run code: .pt2.")]
app = typer.Typer(help="List what can be evaluated, and check a model.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document instead of tables.")] = False,
) -> None:
    """List the kinds of models, the baselines, the shipped checkpoints and the architectures."""
    from physbench.models.load_model import installed_adapters
    from physbench.support import plugins

    adapters = installed_adapters()
    for name, reason in adapters.broken.items():
        warn(f"The adapter '{name}' cannot be imported ({reason}).")
    examples = [example for adapter in adapters.working for example in adapter.examples()]
    architectures = list(plugins.entries("physbench.architectures"))
    if as_json:
        document = {
            "kinds": {adapter.name: adapter.summary for adapter in adapters.working},
            "models": [
                {"model": target, "card": asdict(card) if card else None, "about": about}
                for target, card, about in examples
            ],
            "architectures": architectures,
        }
        typer.echo(json.dumps(document, indent=1))
        return

    console = stdout_console()
    ready = Table("ready to evaluate", "card", "what it is", box=None, pad_edge=False, header_style="bold")
    for target, card, about in examples:
        ready.add_row(target, describe_card(card) if card else "", about)
    console.print(ready)
    console.print()
    kinds = Table("a model can be", "", box=None, pad_edge=False, header_style="bold")
    for adapter in adapters.working:
        form, _, meaning = adapter.summary.partition("  ")
        kinds.add_row(form, meaning.strip())
    console.print(kinds)
    console.print(f"\nArchitectures of checkpoints: {', '.join(architectures)} (`physbench train NAME` makes one).")


@app.command()
def check(
    model: Annotated[
        str,
        typer.Argument(
            help="A path or scheme:rest, as for `physbench eval`.",
            show_default=False,
            autocompletion=console.model_names,
        ),
    ],
    model_arg: ModelArg = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    timeout: Annotated[float, typer.Option(help="Seconds that the model may take for two clips.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Seed of the model's generators.")] = 0,
    chain: Annotated[bool, typer.Option(help="Continue a model with a short horizon on its own last frames.")] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Picture to write. [default: checks/<name>.png]")
    ] = None,
    trust_code: TrustCode = False,
    privileged: Annotated[
        bool, typer.Option("--privileged", help="Hand the clips themselves to a model of yours that has rollout_clips.")
    ] = False,
    actions: Annotated[
        str | None, typer.Option(metavar="MAP.py", help="A file that puts actions into the model's own.")
    ] = None,
) -> None:
    """Roll a model out on two clips and explain what is wrong with it."""
    from physbench.models.load_model import check_target, describe_model
    from physbench.rollout.device_names import check_device_name

    check_timeout(timeout)
    check_device_name(device)
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--out: expected a .png file, got '{out}'. Write --out {out.with_suffix('.png')}.")
    refuse_unwritable(out.parent if out else Path())
    arguments = parse_model_args(model_arg or [])
    check_target(model, trust_code=trust_code, model_args=arguments)
    for name, text in describe_model(model, arguments):
        _say(name, text)
    verdict, rows = _inspect(model, arguments)

    from physbench.clips.store import ClipStore
    from physbench.rollout.check_model import check_model, rows_to_check, save_comparison, two_comparable_rows
    from physbench.rollout.engine import RolloutEngine

    with RolloutEngine(
        model,
        device=device,
        dtype=dtype,
        model_args=arguments,
        timeout=timeout,
        seed=seed,
        chain=chain,
        trust_code=trust_code,
        privileged=privileged,
        actions=actions,
        debug=debugging(),
    ) as engine:
        card = engine.card
        if len(rows) == 1:
            note("Only the files were checked: pictures are compared from two videos on.")
            _say("result", verdict or NOTHING)
            raise typer.Exit(1 if verdict else 0)
        note(f"Making two clips of {card.spec} and rolling them out a few times ...")
        store = ClipStore()
        clips = [store.get(row, card.spec) for row in two_comparable_rows(rows or rows_to_check(card), engine)]
        checked = check_model(engine, clips)
        if not engine.info.recorded:  # `_inspect` has said those of videos
            checked.notes += engine.info.notes
    path = None
    if card.continues:  # of surprise there is nothing to show
        path = out or Path("checks", f"{re.sub(r'[^A-Za-z0-9._-]+', '-', card.name)}.png")
        save_comparison(path, checked.clips, checked.rollouts, f"{card.name}: truth and prediction")
    _print(checked, path, verdict)
    if checked.failed or verdict:
        raise typer.Exit(1)


@app.command("serve-template")
def serve_template(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write into.")] = Path(),
) -> None:
    """Write serve_model.py, which serves a model of another environment over HTTP and needs NumPy alone."""
    from importlib.resources import files

    path = out / "serve_model.py"
    if path.exists():
        raise UsageError(f"'{path}' exists and is not overwritten. Choose another --out.")
    refuse_unwritable(out)
    path.write_text(files("physbench.models.http").joinpath(path.name).read_text(encoding="utf-8"), encoding="utf-8")
    note("Copy it beside the model, then run there:\n  python serve_model.py my_model.py --port 8800")
    typer.echo(path)


def _inspect(model: str, arguments: dict[str, str]) -> tuple[str, list[Row]]:
    """For a kind of model that knows its clips: a summary of what is wrong with them, and their rows."""
    from physbench.models.adapter import RecordedAdapter
    from physbench.models.load_model import find_adapter

    adapter = find_adapter(model)
    if not isinstance(adapter, RecordedAdapter):
        return "", []
    verdict = ""
    note("Checking every file ...")
    for kind, text in adapter.inspect(model, arguments):
        if kind == "result":
            verdict = text
        else:
            _say(kind, text)
    rows = adapter.rows(model, arguments)
    if not rows:
        _say("result", verdict)
        raise typer.Exit(1)
    return verdict, rows


def describe_card(card: ModelCard) -> str:
    """ "64x64 px, 15 frames/s, 8 context frames, at most 16 frames, stochastic"."""
    words = [card.words]
    if card.max_horizon is not None:
        words.append(f"at most {card.max_horizon} {card.moment}s")
    words += [name for name in ("actions", "camera", "prompt") if getattr(card, f"uses_{name}")]
    words += ["stochastic"] if card.stochastic else []
    words += [card.track] if card.track != "zero-shot" else []
    return ", ".join(words)


def _say(name: str, text: str) -> None:
    typer.echo(f"{name:<8} {text}")


def summed_up(problems: int, notes: int, failed: bool) -> str:
    """The last word on a model: "it can be evaluated; see the 3 notes above"."""
    if not problems + notes:
        return NOTHING
    kinds = ((problems, "problem"), (notes, "note"))
    counts = " and ".join(thing if many == 1 else counted(many, thing) for many, thing in kinds if many)
    return (
        f"it cannot be evaluated: see the {counts} above" if failed else f"it can be evaluated; see the {counts} above"
    )


def _print(checked: CheckedModel, picture: Path | None, verdict: str) -> None:
    info = checked.info
    thing = info.card.moment
    lines = [
        ("model", f"{info.card.name}: {describe_card(info.card)}"),
        ("device", f"{info.device} ({info.device_name}), {info.dtype}"),
        ("clips", f"{', '.join(clip.id for clip in checked.clips)}: {checked.clips[0].horizon} {thing}s to predict"),
    ]
    chained = max((rollout.chained for rollout in checked.rollouts), default=1)
    if chained > 1:
        lines.append(("chained", f"{chained} calls along time, each on the last {thing}s before it"))
    if checked.seconds:  # videos take none
        rate = checked.clips[0].horizon / max(checked.seconds, 1e-9)
        lines.append(("time", f"{checked.seconds:.3g} s a clip ({rate:,.0f} {thing}s/s)"))
    if checked.rss:  # a process that ended without an answer was not measured
        on_device = f", {checked.accelerator / 1e6:,.0f} MB on the device" if checked.accelerator else ""
        lines.append(("memory", f"{checked.rss / 1e6:,.0f} MB{on_device}"))
    lines += [("problem", text) for text in checked.problems]
    lines += [("note", text) for text in checked.notes]
    lines.append(("result", verdict or summed_up(len(checked.problems), len(checked.notes), checked.failed)))
    if picture is not None:
        lines.append(("picture", str(picture)))
    for name, text in lines:
        _say(name, text)


def probe(
    model: Annotated[
        str,
        typer.Argument(
            help="A model with an `encode`: reference:NAME, a checkpoint, transformers:DIR (V-JEPA 2), "
            "path/to/file.py:factory, python:package.module:factory.",
            metavar="MODEL",
            show_default=False,
            autocompletion=console.model_names,
        ),
    ],
    suite: Annotated[
        str, typer.Option(help="core, lite, smoke, full or train.", autocompletion=console.suite_names)
    ] = "core",
    tasks: Annotated[
        str | None, typer.Option(metavar="GLOB|FILE.py", help="Only these tasks of the suite, or your own.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most N clips in all.", min=1)] = None,
    model_arg: ModelArg = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    workers: Annotated[int | None, typer.Option(help="Processes that make clips. [default: cores]", min=0)] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option("--out", metavar="FILE", help="Also write the result: .json, .csv or .md; repeatable."),
    ] = None,
    trust_code: TrustCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Say which physical quantities a linear read-out takes from a model's latents.

    Position, velocity, size, mass, restitution, position behind a screen and energy, each beside the untrained copy of
    the model and beside pixels; on other families; and the law of force that probed orbits imply. See docs/probes.md.

    Example: physbench probe reference:rssm --suite lite --out rssm.md
    """

    formats = (".json", ".csv", ".md")
    for file in out or ():
        if file.suffix not in formats:
            raise UsageError(f"--out {file}: expected a name that ends in {', '.join(formats)}.")
        refuse_unwritable(file.parent)
    arguments = parse_model_args(model_arg)

    from physbench.probes.document import csv_table, markdown, print_probes
    from physbench.probes.run import probe_model

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


def train(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=console.architecture_names,
            help="A kind of world model: simple, vae-mdn-rnn (-spatial), rssm, token-ar (-latent), diffusion, "
            "video-dit, jepa-frames (pictures, by latents; want a GPU, or hours), objects (slots and learned "
            "interactions; half an hour on two cores), jepa (states its surprise; minutes), states-graph, "
            "states-transformer (exact states; minutes).",
            metavar="NAME",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the training. [default: runs/train-<name>]")
    ] = None,
    clips: Annotated[
        int, typer.Option(metavar="N", help="Clips to learn from, over all tasks; 40 to see it run.")
    ] = 1260,
    suite: Annotated[
        str, typer.Option(help="train, or combo-6, combo-30 or combo-60: so many templates of combined elements.")
    ] = "train",
    size: Annotated[str, typer.Option(metavar="S|M", help="Size of the network.")] = "S",
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            help="Time for training, once the clips are made and read; the step under way is ended. Weights then "
            "depend on the speed.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Steps of the main stage. [default: the architecture's]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first weights and of every draw.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the training in --out; a finished one is left as it is.")
    ] = False,
) -> None:
    """Train a reference model on clips to learn from: a checkpoint for `physbench eval` and a sample picture."""
    if minutes is not None and steps is not None:
        raise UsageError("Give --minutes or --steps, not both.")
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed: expected a whole number from 0 to 2**63 - 1, got {seed}.")
    from physbench.rollout.device_names import check_device_name

    check_device_name(device)
    folder = out or Path("runs") / f"train-{name}"
    from physbench.reference.train import holds_training, pick_device
    from physbench.reference.train import train as train_model

    try:
        with interruptible():
            done = train_model(
                name, out=folder, clips=clips, suite=suite, size=size, minutes=minutes, steps=steps, seed=seed,
                device=pick_device(name, device), resume=resume,
            )  # fmt: skip
    except KeyboardInterrupt:
        again = f"physbench train {name} --out {folder} --clips {clips} --seed {seed} --device {device}"
        note(
            "Continue with: "
            + again
            + (" --resume" if holds_training(folder) else "")
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


def export(
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
    model_arg: ModelArg = None,
    tolerance: Annotated[float, typer.Option(help="Largest difference of a value of a frame.")] = 1e-5,
    trust_code: TrustCode = False,
) -> None:
    """Write a model as a graph, which runs without its code, and check that both answer alike.

    Example: physbench export examples/export_me.py:make model.onnx
    """
    graph_suffixes = (".onnx", ".pt2")
    from physbench.models.load_model import check_target
    from physbench.models.onnx_file import TO_EXPORT, require_libraries

    if out.suffix not in graph_suffixes:
        raise UsageError(f"Expected a file OUT.onnx, got '{out}'. Write {out.with_suffix(graph_suffixes[0])}.")
    if not tolerance > 0:
        raise UsageError(f"--tolerance: expected a number above 0, got {tolerance}.")
    arguments = parse_model_args(model_arg or [])
    if out.suffix == graph_suffixes[0]:
        require_libraries("`physbench export`", TO_EXPORT)
    refuse_unwritable(out.parent)
    check_target(model, trust_code=trust_code, model_args=arguments)
    note("Tracing the model, and comparing both on two clips and two random contexts ...")

    from physbench.rollout.export_model import export_model

    done = export_model(model, out, model_args=arguments, trust_code=trust_code, tolerance=tolerance)
    for name, difference in done.differences.items():
        note(f"Largest difference over {done.frames} frames, {name}: {difference:.1e}")
    note(f"{done.size / 1e6:.1f} MB. Evaluate it with: physbench eval {done.path}")
    typer.echo(done.path)
