"""Whether two commits measure the same: scenes, prompts and scores, value by value.

    python benchmarks/compare_commits.py BEFORE [AFTER] [--runs smoke,core] [--keep DIR]

Each commit is checked out into a folder of its own and run with the libraries of this interpreter and an empty cache.
Without AFTER, the working tree is compared as it is. What is compared: parameters, prompts, actions and states of every
task in every split; the frames of one clip a task; every column of `scores.parquet` but `reason`, of the model and of
its references; and `result.json` without its times and its versions. `--keep DIR` keeps what a commit measured, so that
the next comparison with the same commit takes half the time. Exit status 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
RUNS = {
    "smoke": ["reference:objects", "--suite", "smoke"],
    "core": ["reference:objects", "--suite", "core", "--limit", "56"],
    "core-128": ["saboteur:kick:0.5", "--suite", "core", "--limit", "28", "--model-arg", "size=128"],
    "image": ["baseline:physicist", "--suite", "core", "--limit", "14", "--model-arg", "context=1"],
    "pairs": ["baseline:constant-velocity", "--suite", "counterfactuals", "--limit", "12"],
    "samples": ["baseline:constant-velocity", "--suite", "smoke", "--limit", "14", "--samples", "2"],
}
DEFAULT = "smoke,core-128,image,pairs"
VOLATILE = {"speed", "versions", "created", "sha256", "code"}  # keys of result.json that two equal runs differ in

PROGRAM = "from physbench.cli.main import main; main()"
# Run in both commits: `physbench.clips` and `physbench.world` keep these names.
SCENES = """
import hashlib, json, sys
import numpy as np
from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_params, make_scene, grid_states, state_hash
from physbench.clips.task import builtin_task_ids
from physbench.world.scene import RenderSpec
found = {}
for task in [*builtin_task_ids(), *builtin_task_ids(actions=True)]:
    for split in ("train", "test", "ood"):
        for seed in range(3):
            row = Row(task, split, seed)
            scene = make_scene(row)
            found[row.id] = {
                "parameters": json.dumps(make_params(row), sort_keys=True, default=str),
                "prompt": scene.prompt,
                "impulses": repr(scene.impulses),
                "states": state_hash(grid_states(scene)),
            }
    clip = make_clip(Row(task, "test", 0), RenderSpec(64, 64, 15.0))
    for name in ("frames", "states", "visible_area", "full_area"):
        found[clip.row.id][name] = hashlib.sha256(np.ascontiguousarray(getattr(clip, name)).tobytes()).hexdigest()
json.dump(found, sys.stdout)
"""


def git(*arguments: str) -> str:
    """What a git command prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def check_out(commit: str | None, folder: Path) -> None:
    """The files of a commit, or of the working tree for None, in `folder`."""
    if commit is None:
        names = git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        for name in names:
            if (ROOT / name).exists() or (ROOT / name).is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    else:
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)


def declare_entry_points(folder: Path) -> None:
    """Metadata beside the package, so that this commit's entry points come before those of what is installed."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name']}.egg-info"
    info.mkdir(exist_ok=True)
    (info / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))


def measure(commit: str | None, runs: list[str], out: Path) -> None:
    """Measure a commit into `out`; what lies there already is not made again."""
    missing = [name for name in runs if not (out / name / "result.json").exists()]
    if not missing and (out / "scenes.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        check_out(commit, source)
        declare_entry_points(source)
        environment = os.environ | {"PYTHONPATH": str(source), "PHYSBENCH_CACHE": f"{folder}/cache"}

        def python(*arguments: str) -> str:
            # Not in the source folder: `python -c` puts the working directory first on the path.
            done = subprocess.run(
                [sys.executable, "-P", *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
            )
            if done.returncode:
                raise SystemExit(f"{commit or 'The working tree'} cannot be measured: exit status {done.returncode}.")
            return done.stdout

        where = Path(python("-c", "import physbench; print(physbench.__file__)").strip())
        assert where.is_relative_to(source), f"measuring {where} instead of {source}"
        scenes = python("-c", SCENES)
        for name in missing:
            print(f"{commit or 'working tree'}: {name}", file=sys.stderr)
            run = Path(folder) / name
            python("-c", PROGRAM, "eval", *RUNS[name], "--out", str(run))
            tables = [run / "scores.parquet", *sorted(run.glob("references/*/scores.parquet"))]
            for path in tables:
                kept = out / name / path.relative_to(run)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, kept)
            shutil.copy(run / "result.json", out / name / "result.json")
        (out / "scenes.json").write_text(scenes)


def plain(document: Any) -> Any:
    """A result document without what two runs of one commit differ in."""
    if isinstance(document, dict):
        return {key: plain(value) for key, value in document.items() if key not in VOLATILE | {"reason"}}
    return [plain(value) for value in document] if isinstance(document, list) else document


def differences_of_json(before: Any, after: Any, where: str) -> list[str]:
    """One line for every place where two JSON documents differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [line for key in keys for line in differences_of_json(before.get(key), after.get(key), f"{where}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for i, (old, new) in pairs for line in differences_of_json(old, new, f"{where}[{i}]")]
    return [] if before == after else [f"{where}: {before!r} -> {after!r}"]


def differences_of_tables(before: Path, after: Path, where: str) -> list[str]:
    """One line for every column in which two score tables differ, with the first row that does."""
    old, new = (pd.read_parquet(path).drop(columns="reason") for path in (before, after))
    if list(old.columns) != list(new.columns) or len(old) != len(new):
        return [f"{where}: {old.shape} {list(old.columns)} -> {new.shape} {list(new.columns)}"]
    found = []
    for column in old.columns:
        unequal = ~((old[column] == new[column]) | (old[column].isna() & new[column].isna()))
        if unequal.any():
            first = unequal.idxmax()
            row = " ".join(str(old[name][first]) for name in old.columns[:4])
            found.append(
                f"{where}: {column} differs in {int(unequal.sum())} of {len(old)} rows, first in {row}: "
                f"{old[column][first]!r} -> {new[column][first]!r}"
            )
    return found


def compare(before: Path, after: Path, runs: list[str]) -> list[str]:
    """Everything in which two measured commits differ."""
    found = differences_of_json(
        json.loads((before / "scenes.json").read_text()), json.loads((after / "scenes.json").read_text()), "scenes"
    )
    for name in runs:
        tables = {path.relative_to(before / name) for path in (before / name).rglob("scores.parquet")}
        others = {path.relative_to(after / name) for path in (after / name).rglob("scores.parquet")}
        found += [f"{name}: {path} is in one of them only" for path in sorted(tables ^ others)]
        for path in sorted(tables & others):
            found += differences_of_tables(before / name / path, after / name / path, f"{name}/{path}")
        old, new = (plain(json.loads((side / name / "result.json").read_text())) for side in (before, after))
        found += differences_of_json(old, new, f"{name}/result.json")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="a commit")
    parser.add_argument("after", nargs="?", help="a commit; the working tree if it is not given")
    parser.add_argument("--runs", default=DEFAULT, help=f"of {', '.join(RUNS)}; {DEFAULT} if not given")
    parser.add_argument("--keep", type=Path, help="a folder for what commits measured")
    arguments = parser.parse_args()
    runs = arguments.runs.split(",")
    if unknown := set(runs) - set(RUNS):
        parser.error(f"no such runs: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        keep = arguments.keep or Path(folder)
        sides = []
        for commit in (arguments.before, arguments.after):
            name = "working-tree" if commit is None else git("rev-parse", "--short", commit)
            side = (Path(folder) if commit is None else keep) / name
            measure(commit and git("rev-parse", commit), runs, side)
            sides.append(side)
        found = compare(*sides, runs)
    print("\n".join(found[:40]) or f"equal: scenes, {', '.join(runs)}")
    if len(found) > 40:
        print(f"... and {len(found) - 40} further differences")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
