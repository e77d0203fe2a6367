"""How skill and the error of velocities depend on the number of clips that are learned from, and on a network's size.

    python benchmarks/data_and_size.py FOLDER [--kinds states-transformer objects] [--clips 150 1500 15000]
                                       [--sizes S M] [--steps N] [--suite core] [--limit N] [--memory 150 1500]
                                       [--workers 2] [--table FILE.csv]

Each kind is trained in each size on each number of clips of `train`, all with the same seed and as many steps, and is
evaluated on the suite, beside memories and constant velocity. FOLDER keeps trainings and runs: what is complete there
is not made again, what was interrupted goes on. The table gets a row for each of them; its other rows stay.
`train_zoo.py` trains the same on a GPU without PyBullet: put its NAME-SIZE-CLIPS.safetensors into
FOLDER/NAME-SIZE-CLIPS/training/NAME.safetensors.

The error of velocity (PhyWorld, arXiv 2411.02385) is that of a difference of neighbouring frames, m/s, mean over frames
and bodies that ground truth and the model both show. It is that of the median clip, mean over tasks: a rollout that
blows up would otherwise be all that a mean shows. Intervals resample the clips of each task. How the error differs from
that of the same network on the fewest clips (`_of_fewest`), and of the smallest network on as many (`_of_smallest`), is
a ratio of both on the same clips, which are resampled together.
"""

from __future__ import annotations

import argparse
import csv
import math
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.safetensors_files import read_header
from physbench.reference.train import holds_training
from physbench.result.bootstrap import estimate, pooled
from physbench.result.coverage import inapplicable_axes
from physbench.result.document import ResultDocument, read_result
from physbench.result.levels import overall
from physbench.result.read import read_run
from physbench.result.task_roles import fixed_kinds
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, load_tracks
from physbench.world.camera import pixels_per_metre, px_from_world

PROGRAM = [sys.executable, "-c", "from physbench.cli.main import main; main()"]
SHIPPED_TABLE = Path(__file__).parents[1] / "docs" / "figures" / "data_and_size.csv"
DRAWS = 2000
Errors = Mapping[str, Mapping[str, float]]  # m/s by task and clip
SPLITS = ("test", "ood")
BASES = ("fewest", "smallest")  # clips, network
AXES = ("consistency", "drift")  # of which models of states, too, have a quality in each split
KEY = ("kind", "size", "clips", "suite")  # of a row
COLUMNS = (
    "kind", "size", "parameters", "clips", "suite", "overall", "overall_low", "overall_high",
    *(f"{axis}_{part}" for axis in AXES for part in ("test", "ood", "gap", "gap_low", "gap_high")),
    *(f"velocity_{split}{end}" for split in SPLITS for end in ("", "_low", "_high")), "lost_test", "lost_ood",
    *(f"velocity_{split}_of_{base}{end}" for base in BASES for split in SPLITS for end in ("", "_low", "_high")),
)  # fmt: skip


def physbench(*arguments: str) -> None:
    """Run a command. Raises CalledProcessError."""
    print("physbench", *arguments, flush=True)
    subprocess.run([*PROGRAM, *arguments], check=True, stdout=subprocess.DEVNULL)


def trained(kind: str, size: str, clips: int, steps: int | None, folder: Path) -> Path:
    """The checkpoint of a training, which is made or goes on."""
    checkpoint = folder / f"{kind}.safetensors"
    if not checkpoint.is_file():
        more = [] if steps is None else ["--steps", str(steps)]
        more += ["--resume"] if holds_training(folder) else []
        physbench("train", kind, "--clips", str(clips), "--size", size, "--out", str(folder), *more)
    return checkpoint


def evaluated(model: Sequence[str], suite: str, limit: int | None, workers: int, run: Path) -> Path:
    """The folder of a run, which is made or goes on."""
    if not (run / "result.json").is_file():
        options = ["--suite", suite, "--no-diagnosis", "--workers", str(workers), "--out", str(run)]
        options += [] if limit is None else ["--limit", str(limit)]
        physbench("eval", *model, *options, *(["--resume"] if run.exists() else []))
    return run


def velocity_error(clip: Clip, tracks: Tracks) -> tuple[float, float]:
    """Mean error of velocity m/s after the hand-over, NaN where nothing is shown, and the share of bodies not shown."""
    fps, first = clip.spec.fps, tracks.context - 1
    truth = px_from_world(
        clip.scene.camera, clip.spec, clip.states[clip.window(tracks.context)][:, list(clip.tracked), :3]
    )
    scale = fps / pixels_per_metre(clip.scene.camera, clip.spec)
    off = np.diff(tracks.position[first:] - truth[first:], axis=0) * scale
    size = np.linalg.norm(off, axis=-1)
    known = np.isfinite(size)
    return float(size[known].mean()) if known.any() else float("nan"), float(1 - known.mean())


def of_median_clips(errors: Errors) -> tuple[float, float, float]:
    """Mean over tasks of the median error of their clips, with its 95 % interval."""
    tasks = [np.array([*clips.values()]) for clips in errors.values()]
    low, high = np.percentile(np.mean(drawn_medians(tasks), axis=0), [2.5, 97.5])
    return float(np.mean([np.median(values) for values in tasks])), float(low), float(high)


def ratio_columns(name: str, errors: Errors, base: Errors) -> dict[str, float]:
    """Ratio of two such means over the clips of which both have an error, drawn together: with its 95 % interval.

    Empty where there are no such clips.
    """
    both = {task: sorted(clips.keys() & base.get(task, {}).keys()) for task, clips in errors.items()}
    pairs = [np.array([(errors[task][id], base[task][id]) for id in ids]) for task, ids in both.items() if ids]
    if not pairs:
        return {}
    mine, other = np.mean(drawn_medians(pairs), axis=0).T
    low, high = np.percentile(mine / other, [2.5, 97.5])
    mean, mean_of_base = np.mean([np.median(values, axis=0) for values in pairs], axis=0)
    return spread(name, float(mean / mean_of_base), (float(low), float(high)))


def drawn_medians(tasks: Iterable[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Medians (DRAWS, ...) of resampled rows of each task (n, ...)."""
    rng = np.random.default_rng(0)
    return [np.median(values[rng.integers(len(values), size=(DRAWS, len(values)))], axis=1) for values in tasks]


def row_of(run: Path, **names: Any) -> tuple[dict[str, Any], Mapping[str, Errors]]:
    """What the table says of a finished run, and its errors by split."""
    folder, result = RunFolder(run), read_result(run / "result.json")
    spec, store = render_spec(result.model.card.image_size, result.model.card.fps), ClipStore()
    errors: dict[str, dict[str, dict[str, float]]] = {split: defaultdict(dict) for split in SPLITS}
    lost: dict[str, list[float]] = {split: [] for split in SPLITS}
    for row in find_suite(result.suite.name, limit=result.suite.clips).rows:
        error, share = velocity_error(store.get(row, spec), load_tracks(folder.tracks(row.id)))
        lost[row.split].append(share)
        if np.isfinite(error):
            errors[row.split][row.task][row.id] = error
    part = f", {result.suite.clips} clips" if result.suite.clips < len(find_suite(result.suite.name).rows) else ""
    made = {**names, "suite": f"{result.suite.name} {result.suite.version}{part}"}
    # A part of a suite has too few clips of each split for an interval of its skill, but enough of both together.
    manifest, tables = read_run(folder)
    both = estimate(pooled(tables), fixed=fixed_kinds(manifest), inapplicable=inapplicable_axes(manifest.card))
    skill = overall(both, 0, "")
    made |= spread("overall", skill.skill, skill.interval) | qualities(result)
    for split in SPLITS:
        if errors[split]:
            middle, low, high = of_median_clips(errors[split])
            made |= spread(f"velocity_{split}", middle, (low, high))
        made[f"lost_{split}"] = round(float(np.mean(lost[split])), 4)
    return made, errors


def spread(name: str, value: float | None, interval: tuple[float, float] | None) -> dict[str, float]:
    """Columns of a number with its interval."""
    low, high = interval or (None, None)
    found = {name: value, f"{name}_low": low, f"{name}_high": high}
    return {key: round(number, 4) for key, number in found.items() if number is not None}


def qualities(result: ResultDocument) -> dict[str, float]:
    """Columns of the mean quality within the ranges of training and outside of them, and the gap with its interval."""
    made: dict[str, float] = {}
    for axis in AXES:
        found = result.gaps.get("all", {}).get(axis)
        if found is not None and found.test is not None and found.ood is not None:
            made |= {f"{axis}_test": round(found.test, 4), f"{axis}_ood": round(found.ood, 4)}
            made |= spread(f"{axis}_gap", found.gap, found.interval)
    return made


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows behind those of other kinds, sizes, numbers of clips and suites that the table holds."""
    kept: list[dict[str, Any]] = []
    if path.is_file():
        made = {tuple(str(row.get(name, "")) for name in KEY) for row in rows}
        with path.open(newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if tuple(row[name] for name in KEY) not in made]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", nargs="*", default=["states-transformer", "objects"])
    parser.add_argument("--clips", type=int, nargs="+", default=[150, 1500, 15000])
    parser.add_argument("--sizes", nargs="+", default=["S", "M"], choices=["S", "M"])
    parser.add_argument("--steps", type=int, metavar="N", help="of the main stage; the architecture's")
    parser.add_argument("--suite", default="core", choices=("smoke", "lite", "core"))
    parser.add_argument("--limit", type=int, metavar="N", help="clips of the suite, spread over tasks and splits")
    parser.add_argument("--memory", type=int, nargs="*", help="clips of the memories; as many as are learned from")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", type=Path, default=SHIPPED_TABLE)
    asked = parser.parse_args()
    given = asked.suite, asked.limit, asked.workers
    rows: list[dict[str, Any]] = []
    for kind in asked.kinds:
        errors: dict[tuple[str, int], Mapping[str, Errors]] = {}
        for size in sorted(asked.sizes, reverse=True):  # S before M
            for clips in sorted(asked.clips):
                place = asked.folder / f"{kind}-{size}-{clips}"
                checkpoint = trained(kind, size, clips, asked.steps, place / "training")
                run = evaluated([str(checkpoint)], *given, place / asked.suite)
                numbers = sum(math.prod(tensor.shape) for tensor in read_header(checkpoint).tensors.values())
                row, errors[size, clips] = row_of(run, kind=kind, size=size, parameters=numbers, clips=clips)
                for base, of in zip(BASES, ((size, min(asked.clips)), (max(asked.sizes), clips)), strict=True):
                    if of != (size, clips):
                        for split in SPLITS:
                            row |= ratio_columns(
                                f"velocity_{split}_of_{base}", errors[size, clips][split], errors[of][split]
                            )
                rows.append(row)
                write_table(asked.table, rows)
    for clips in asked.clips if asked.memory is None else asked.memory:
        model = ["baseline:memory", "--model-arg", f"clips={clips}"]
        run = evaluated(model, *given, asked.folder / f"memory-{clips}" / asked.suite)
        rows.append(row_of(run, kind="memory", clips=clips)[0])
    straight = ["baseline:constant-velocity"]
    run = evaluated(straight, *given, asked.folder / "constant-velocity" / asked.suite)
    write_table(asked.table, [*rows, row_of(run, kind="constant-velocity")[0]])


if __name__ == "__main__":
    main()
