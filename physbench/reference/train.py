"""`physbench train NAME`: clips, training, validation curve, checkpoint, card and samples."""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from physbench import __version__
from physbench.clips.store import ClipStore
from physbench.clips.suite import COMBO, EXPECTATION_SUITE, TRAIN, TRAINING_LISTS, find_suite
from physbench.data.clip_dataset import ClipEpisodes, training_hash, training_rows
from physbench.models.protocol import ModelCard
from physbench.models.safetensors_files import read_checkpoint, save_checkpoint
from physbench.reference.architecture import ReferenceModel, Validation
from physbench.reference.training_loop import STATE_FILE, Episodes, check_state, generator, run_stages, saved_setting
from physbench.support import plugins
from physbench.support.errors import ModelError, UsageError, nearest
from physbench.support.files import atomic_path

# The validation curve of a training: how near a model comes to held-out clips as it goes on.

CURVE_FILE = "curve.csv"


class ValidationCurve:
    """A row of CURVE_FILE at each call of `row`: steps, seconds and what a `Validation` reads of the model then.

    Where it `keeps_nearest`, `row` asks for the weights of the nearest row of a stage to be kept.
    """

    def __init__(self, validation: Validation, net: nn.Module, folder: Path, keeps_nearest: bool = False) -> None:
        self.validation, self.net, self.path = validation, net, folder / CURVE_FILE
        self.keeps_nearest = keeps_nearest

    def row(self, stage: str, step: int, seconds: float) -> tuple[str, bool]:
        """Add a row to the file, in place of later ones of a training that was interrupted.

        Returns:
            The row in words, and whether the weights are kept.
        """
        training = self.net.training
        self.net.eval()
        with torch.no_grad():
            skills = self.validation.skills()
        self.net.train(training)
        rows = list(csv.reader(self.path.read_text().splitlines())) if self.path.exists() else []
        kept = [row for row in rows[1:] if row[0] != stage or int(row[1]) < step]
        new = [stage, str(step), f"{seconds:.1f}", *(f"{each:.4f}" for each in skills)]
        with self.path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["stage", "step", "seconds", *(f"skill {name}" for name in self.validation.names)])
            writer.writerows([*kept, new])
        line = "nearer than no change by " + ", ".join(
            f"{value:.2f} ({name})" for name, value in zip(self.validation.names, skills, strict=True)
        )
        rows = [*(row for row in kept if row[0] == stage), new]
        return line, self.keeps_nearest and nearest_row(rows) is new


def nearest_row(rows: Sequence[list[str]]) -> list[str]:
    """The row of a validation curve whose mean over its spans is largest, of equal ones the first."""
    return max(rows, key=lambda row: sum(float(each) for each in row[3:]))


# The card of a trained model in Markdown: what it is, what it was trained on, how near it came, and a picture.


def training_card(
    architecture: Any, card: ModelCard, numbers: int, training: Mapping[str, Any], folder: Path, picture: str
) -> str:
    """The card as Markdown.

    Args:
        architecture: The kind, with its name and words.
        card: What the harness knows of it.
        numbers: Of its weights.
        training: Settings, device and seconds, as its checkpoint holds them.
        folder: In which CURVE_FILE lies, if there is one.
        picture: Name of the file with samples.
    """
    most_rows = 8  # of the validation curve
    seconds = training.get("seconds", {})
    spent = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items()) or "not measured"
    reach = f"{card.max_horizon} frames at a time" if card.max_horizon else "any horizon"
    budget = f"{training['minutes']:g} minutes" if training.get("minutes") else f"{training.get('steps')} steps"
    data = f"list `{training['suite']}`" if "suite" in training else "`train` split"
    listed = f" (list {training['clips_hash'][:12]})" if training.get("clips_hash") else ""
    lines = [
        f"# `{architecture.name}`",
        "",
        f"{architecture.summary[:1].upper()}{architecture.summary[1:]}. {numbers:,} numbers; {card.words}, {reach}.",
        "",
        "| | |",
        "| --- | --- |",
        f"| data | {training['clips']} clips of the {data}{listed}, one in ten held out |",
        f"| asked for | {budget}, size {training.get('size', 'S')} |",
        f"| device | {training['device']} |",
        f"| time | {spent} |",
        f"| seed | {training['seed']} |",
        f"| versions | physbench {training['physbench']}, torch {training['torch']} |",
        "",
        f"![Truth above {architecture.sample_of}, ten moments of held-out clips]({picture})",
        "",
    ]
    rows = _curve(folder / CURVE_FILE)
    if rows:
        head, *values = rows
        chosen = [values[round(k * (len(values) - 1) / (most_rows - 1))] for k in range(most_rows)]
        chosen_by = ""
        if architecture.keeps_nearest:
            nearest = nearest_row(values)
            chosen = sorted([*chosen, nearest], key=lambda row: int(row[1]))
            chosen_by = f" The weights are those of step {nearest[1]}, which have the largest mean."
        kept = list({row[1]: row for row in chosen}.values())
        lines += [
            f"Nearness of {architecture.validation_of} to the truth on held-out clips: 0 as if nothing changed, 1 the "
            f"truth.{chosen_by}",
            "",
            "| " + " | ".join(head[1:]) + " |",
            "|" + " --- |" * len(head[1:]),
            *("| " + " | ".join(row[1:]) + " |" for row in kept),
            "",
        ]
    return "\n".join(lines)


def _curve(path: Path) -> Sequence[list[str]]:
    """Rows of a validation curve, its head first; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return rows if len(rows) > 1 else []


def unlearned_tasks(clips: int, suite: str = TRAIN) -> str:
    """A line on the tasks of a list of which so few clips hold none to learn from, or ""."""
    rows, tasks = training_rows(clips, suite)[0], find_suite(suite).tasks
    unlearned = sorted(set(tasks) - {row.task for row in rows})
    if not unlearned:
        return ""
    some = f"{len(unlearned)} of {len(tasks)} tasks"
    return f"With --clips {clips} nothing is learned of {some}: {', '.join(unlearned)}. Give more clips."


DEFAULT_CLIPS = 1260  # of the training set
SHEET_FRAMES = 10  # of each clip in the sheet


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training."""

    checkpoint: Path
    picture: Path
    seconds: Mapping[str, float]
    options: str = ""  # of `physbench eval`, without which the model is not asked


def train(
    name: str,
    *,
    out: Path,
    clips: int = DEFAULT_CLIPS,
    suite: str = TRAIN,
    size: str = "S",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    threads: int | None = None,
    workers: int = 2,
) -> TrainingResult:
    """Train an architecture on clips to learn from and write OUT/NAME.safetensors, a picture and, last, its card.

    A training to continue that has all three is finished: nothing is trained or written.

    Args:
        name: Of the architecture.
        out: Folder of the training.
        clips: Number of clips, at least 20; some are held out.
        suite: List of clips of which these are the first: one of `suite.TRAINING_LISTS`.
        size: Of the network, one of the architecture's `sizes`.
        minutes: Time of training once the clips were made, as many steps as it takes. Their number, and so the
            weights, then depend on the speed of the machine.
        steps: Of the main stage; None: the default of the architecture.
        seed: From which everything random is drawn.
        device: Where it trains.
        resume: Whether to continue the training in the folder.
        threads: Of torch; None: the default of the architecture.
        workers: Processes that make clips.

    Raises:
        UsageError: An option is out of bounds, the folder holds a training and `resume` is False, or none and it is
            True.
    """
    architecture = plugins.load("physbench.architectures", name)
    if clips < 20:
        raise UsageError(f"Expected at least 20 clips but got --clips {clips}.")
    if suite not in TRAINING_LISTS:
        raise UsageError(f"--suite: '{suite}' is no list to learn from.{nearest(suite, TRAINING_LISTS)}")
    if steps is not None and steps < 1:
        raise UsageError(f"Expected at least one step but got --steps {steps}.")
    if minutes is not None and not 0 < minutes < math.inf:
        raise UsageError(f"Expected a positive time but got --minutes {minutes:g}.")
    before = saved_setting(out, "threads") if resume else None  # another number of threads rounds otherwise
    threads = threads or before or architecture.threads or torch.get_num_threads()
    steps = steps or architecture.steps
    config = architecture.config(size)
    card: ModelCard = architecture.card(config)
    checkpoint, picture, card_file = files = [out / f"{name}.{end}" for end in ("safetensors", "png", "md")]
    check_folder(out, resume)
    if not resume:
        make_writable(out)
    judged = "smoke" if suite == TRAIN else COMBO
    options = f" --suite {judged if card.continues else EXPECTATION_SUITE}"
    rows, held_out = training_rows(clips, suite)  # millions take minutes
    training = {
        "physbench": __version__,
        "torch": torch.__version__,
        "clips": clips,
        "tasks": sorted({row.task for row in rows}),
        "split": "train",
        **({} if suite == TRAIN else {"suite": suite}),  # checkpoints of train are as they were
        "size": size,
        "seed": seed,
        "steps": steps,
        "minutes": minutes,
        "threads": threads,
        "device": device,
    }
    if resume:
        check_state(out, training_key(architecture.name, config, training))
        if seconds := _finished(files, architecture.name, config, training):
            print_note(f"The training in {out} is finished: nothing is trained or written.")
            return TrainingResult(checkpoint, picture, seconds, options)
        make_writable(out)  # only now: a finished training may lie where nothing can be written
    started = time.monotonic()
    store = ClipStore()
    written = store.ensure([*rows, *held_out], architecture.clip_spec(card), workers=workers)
    generation = time.monotonic() - started
    print_note(f"{clips} clips, {written} of them made in {generation:.0f} s, the rest kept from before.")
    if few := unlearned_tasks(clips, suite):
        print_note(few)
    episodes, watched = (architecture.episodes(part, card, store) for part in (rows, held_out))
    card_file.unlink(missing_ok=True)  # that of an earlier training: the last file of a finished one
    net, seconds = learn(
        architecture, config, episodes, out, training, seed=seed, steps=steps, minutes=minutes, device=device,
        resume=resume, threads=threads, watched=watched,
    )  # fmt: skip
    seconds = {"clips": round(generation, 1), **{stage: round(value, 1) for stage, value in seconds.items()}}
    clips_hash = training_hash(find_suite(suite, limit=clips), store, architecture.clip_spec(card))
    training = {**training, "clips_hash": clips_hash, "seconds": seconds}
    with atomic_path(checkpoint) as draft:
        save_checkpoint(draft, net.state_dict(), architecture=name, config=config, card=card, training=training)
        draft.chmod(0o644)  # the library writes files that nobody else can read
    model = architecture.wrap(net, card, torch.device(device), torch.float32)
    save_sample_sheet(picture, architecture, model, watched, first_clip_of_each_task(held_out))
    numbers = sum(each.numel() for each in net.parameters())
    text = training_card(architecture, card, numbers, training, out, picture.name)
    with atomic_path(card_file) as draft:  # last: a training that has its card is finished
        draft.write_text(text, encoding="utf-8")
    return TrainingResult(checkpoint, picture, seconds, options)


def _finished(
    files: Sequence[Path], architecture: str, config: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Seconds of each stage of a finished training with these settings; none where a file is missing or damaged."""
    if not all(path.is_file() and path.stat().st_size for path in files):
        return {}
    try:
        made = read_checkpoint(files[0])
    except ModelError:
        return {}
    stated = {name: made.training.get(name) for name in settings}
    same = training_key(made.architecture, made.config, stated) == training_key(architecture, config, settings)
    return made.training.get("seconds", {}) if same else {}


def learn(
    architecture: Any, config: Mapping[str, Any], episodes: Episodes, folder: Path, settings: Mapping[str, Any], *,
    seed: int, steps: int | None, minutes: float | None, device: str, resume: bool, threads: int,
    watched: Episodes | None = None,
) -> tuple[nn.Module, dict[str, float]]:  # fmt: skip
    """Train on any episodes, with a validation curve from others. Returns the network and the seconds of each stage."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = architecture.net(config)
        net.to(device).train()
        key = training_key(architecture.name, config, settings)
        stages = architecture.stages(net, config, episodes, folder, steps)
        watch = None
        if not (resume and (folder / STATE_FILE).exists()):
            (folder / CURVE_FILE).unlink(missing_ok=True)
        if watched is not None and any(stage.watched for stage in stages):
            model = architecture.wrap(net, architecture.card(config), torch.device(device), torch.float32)
            net.train()
            validation = architecture.validation(model, watched)
            watch = ValidationCurve(validation, net, folder, architecture.keeps_nearest).row
        seconds = run_stages(net, stages, folder, key, seed, minutes, resume, watch)
    finally:
        torch.set_num_threads(before)
    return net.eval().requires_grad_(False), seconds


def training_key(architecture: str, config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Settings that a continued training must have in common with its beginning, as JSON."""
    return json.dumps({"architecture": architecture, "config": dict(config), **settings}, sort_keys=True)


def holds_training(out: Path) -> bool:
    """True if a training in this folder has begun to learn; before, clips are made, which are kept elsewhere."""
    return (out / STATE_FILE).exists()


def check_folder(out: Path, resume: bool) -> None:
    """A training in the folder is continued or refused, never overwritten; to continue, there must be one."""
    if holds_training(out) and not resume:
        raise UsageError(f"{out} holds a training. Continue it with --resume, or name another folder with --out.")
    if resume and not holds_training(out):
        raise UsageError(
            f"{out} holds no training to continue ({STATE_FILE} is not there). Name the folder of one with --out, or "
            "begin one: the same command without --resume."
        )


def make_writable(out: Path) -> None:
    """Make the folder. Raises UsageError where it takes no file."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"Cannot write to {out}: {error.strerror}. Name another folder with --out.") from None


def first_clip_of_each_task(rows: Sequence[Any]) -> list[int]:
    """The first held-out clip of each task."""
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        first.setdefault(row.task, index)
    return list(first.values())


def save_sample_sheet(
    path: Path, architecture: Any, model: ReferenceModel, episodes: ClipEpisodes, chosen: Sequence[int]
) -> None:
    """Draw truth above what the model makes of it for some clips, SHEET_FRAMES frames from the hand-over to the end."""
    import matplotlib.image

    rows = []
    for index in chosen:
        frames = episodes.frames(index)
        answer = architecture.sample_episode(model, episodes, index, generator("sample", index))
        when = torch.linspace(0, len(answer) - 1, SHEET_FRAMES).round().long()
        for video in (frames[model.card.context_frames :], answer):
            rows.append(torch.cat([*video[when].permute(0, 2, 3, 1)], 1).numpy())
        rows.append(np.full((4, rows[-1].shape[1], 3), 255, dtype=np.uint8))
    sheet = np.concatenate(rows[:-1]).repeat(2, 0).repeat(2, 1)
    matplotlib.image.imsave(path, sheet)


def print_note(line: str) -> None:
    """Print a line on stderr."""
    print(line, file=sys.stderr, flush=True)


def pick_device(name: str, option: str) -> str:
    """Resolve "auto": a GPU where there is one, except for kinds whose small tensors are faster on a CPU."""
    if option != "auto":
        try:
            torch.empty(1, device=option)
        except (RuntimeError, AssertionError) as error:
            line = str(error).splitlines()[0]
            raise UsageError(f"--device {option} does not work here ({line}). Use --device cpu or auto.") from None
        return option
    return "cuda" if torch.cuda.is_available() and name not in ("objects", "states-graph") else "cpu"  # faster there
