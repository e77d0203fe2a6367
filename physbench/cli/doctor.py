"""`physbench doctor`: what works on this machine and what is missing."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import psutil
import typer

from physbench.run.versions import library_version
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import ENVIRONMENT, cache_dir
from physbench.support.processes import cores


@dataclass(frozen=True)
class HostFinding:
    """One line of the doctor."""

    name: str
    state: Literal["ok", "optional", "missing"]  # optional: something is missing that a run can do without
    text: str
    remedy: str = ""


def _python() -> HostFinding:
    version = platform.python_version()
    text = f"{version} on {platform.system()} {platform.machine()}, {cores()} cores"
    return HostFinding("python", "ok", text)


def _torch() -> HostFinding:
    import torch

    devices = ["cpu"]
    devices += [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    tensor = torch.ones(4, device=devices[-1].split()[0])
    if float((tensor * 2).sum()) != 8:
        return HostFinding(
            "torch", "missing", f"{torch.__version__} computes wrongly on {devices[-1]}", "Reinstall torch."
        )
    return HostFinding("torch", "ok", f"{torch.__version__}; devices: {', '.join(devices)}")


def _pybullet() -> HostFinding:
    try:
        importlib.import_module("physbench.world.bullet")
    except ImportError as error:
        return HostFinding(
            "pybullet",
            "missing",
            f"cannot be imported ({error})",
            "pip install pybullet; there are wheels for CPython 3.11, elsewhere it needs a C++ compiler and minutes. "
            "`physbench rollout --clips FILE` needs none.",
        )
    return HostFinding("pybullet", "ok", f"{library_version('pybullet')}")


def _simulator() -> HostFinding:
    from physbench.clips.golden import compute_golden
    from physbench.clips.suite import find_suite

    suite = find_suite("smoke")
    row = suite.rows[0]
    if compute_golden(row).state_hash != suite.golden[row].state_hash:
        return HostFinding(
            "simulator",
            "optional",
            f"the states of {row.id} differ from the golden ones",
            "Runs are marked local. `physbench data verify` says how far they are; Linux x86-64 wheels agree.",
        )
    return HostFinding("simulator", "ok", f"{row.id} comes out bit by bit as published")


def _video() -> HostFinding:
    import numpy as np

    from physbench.rollout.store import read_video, write_video

    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mkv"
        write_video(path, frames, 15)
        same = np.array_equal(read_video(path), frames)
    remedy = "" if same else "pip install --force-reinstall av"
    text = f"PyAV {library_version('av')}, H.264 of RGB {'is lossless' if same else 'is not lossless'}"
    return HostFinding("video", "ok" if same else "missing", text, remedy)


def _checkpoint() -> HostFinding:
    import torch

    from physbench.models.load_model import load_model

    model = load_model("reference:objects", device=torch.device("cpu"), dtype=torch.float32, model_args={})
    card = model.card
    return HostFinding("reference:objects", "ok", f"loads; {card.spec}, {card.context_frames} context frames")


def _cache() -> HostFinding:
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = f"Everything works without, but slower. Set {ENVIRONMENT} to a folder that you may write."
        return HostFinding("cache", "optional", f"{folder} cannot be written: {error.strerror}", remedy)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return HostFinding("cache", "ok", f"{folder} holds {size / 1e6:.0f} MB")


def _disk() -> HostFinding:
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / 1e9:.1f} GB free in the current folder"
    if free < 2e9:  # bytes on disk: core at 128 px takes half of it
        return HostFinding("disk", "missing", text, "Free some space, or write elsewhere with --out.")
    if not os.access(Path.cwd(), os.W_OK):
        return HostFinding("disk", "missing", f"{Path.cwd()} cannot be written", "Go to another folder, or use --out.")
    return HostFinding("disk", "ok", text)


def _memory() -> HostFinding:
    total = psutil.virtual_memory().total
    enough = total >= 3e9  # bytes
    remedy = "" if enough else "Use --workers 1 and a small --batch-size."
    return HostFinding("memory", "ok" if enough else "optional", f"{total / 1e9:.1f} GB", remedy)


def _compiled() -> HostFinding:
    from physbench.laws.kernels import KERNELS

    kept = sum(kernel.load() for kernel in KERNELS)
    text = f"{kept} of {len(KERNELS)} of the motion analysis are kept in {KERNELS[0].folder or 'no folder'}"
    if kept == len(KERNELS):
        return HostFinding("compiled functions", "ok", text)
    remedy = "The first run compiles them, which takes 15 to 30 s of one core; `physbench doctor --warm` does it now."
    if KERNELS[0].folder is None:
        remedy = "Every process compiles them. Set NUMBA_CACHE_DIR to a folder that you may write."
    return HostFinding("compiled functions", "optional", text, remedy)


def _readings() -> HostFinding:
    """Every scorer on one clip of ground truth: what needs weights or libraries that are not here says so."""
    from physbench.clips.generate import make_clip
    from physbench.clips.suite import find_suite
    from physbench.rollout.store import Rollout
    from physbench.score.score_clip import find_scorers, score_clip
    from physbench.world.scene import RenderSpec

    clip = make_clip(find_suite("smoke").rows[0], RenderSpec(64, 64, 10))
    scorers = find_scorers()
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), 8, scorers)
    for state in ("failed", "unavailable"):
        lacking = {row.reading: row.reason for row in rows if row.status == state}
        if lacking:
            text = f"{state}: " + "; ".join(f"{name}, {reason}" for name, reason in lacking.items())
            if state == "failed":
                return HostFinding(
                    "scorers", "missing", text, "Reinstall physbench, or the package that brings the scorer."
                )
            return HostFinding(
                "scorers", "optional", text, "Everything else is read without; it is outside every mean."
            )
    return HostFinding("scorers", "ok", f"all {len(scorers)} read ground truth")


def _natural_look() -> HostFinding:
    from physbench.world.styles.catalogue import check_look
    from physbench.world.styles.look_options import NATURAL_LOOK
    from physbench.world.styles.natural.mitsuba_scene import VARIANTS, working_variant

    try:
        check_look(NATURAL_LOOK)
        variant = working_variant()
    except UsageError as error:
        return HostFinding("natural look", "optional", "cannot be drawn here", str(error))
    faster = "" if variant == VARIANTS[0] else f"{VARIANTS[0]} is faster, and needs LLVM: 19 works, 14 to 16 did not."
    return HostFinding("natural look", "ok", f"Mitsuba {library_version('mitsuba')}, {variant}", faster)


def _ray() -> HostFinding:
    if (version := library_version("ray")) is None:
        return HostFinding("ray", "optional", "not installed", "For --executor ray: pip install 'physbench[ray]'")
    return HostFinding("ray", "ok", version)


def _object_stores() -> HostFinding:
    """Finding on s3://. No store is contacted: it may need credentials, and a network."""
    versions = {name: library_version(name) for name in ("fsspec", "s3fs")}
    if lacking := [name for name, known in versions.items() if known is None]:
        text = f"{' and '.join(lacking)} not installed"
        return HostFinding("object stores", "optional", text, "For s3://...: pip install 'physbench[remote]'")
    return HostFinding("object stores", "ok", ", ".join(f"{name} {known}" for name, known in versions.items()))


CHECKS: dict[str, Callable[[], HostFinding]] = {
    "python": _python,
    "memory": _memory,
    "disk": _disk,
    "cache": _cache,
    "torch": _torch,
    "pybullet": _pybullet,
    "simulator": _simulator,
    "video": _video,
    "reference:objects": _checkpoint,
    "compiled functions": _compiled,  # before the scorers, which compile what is missing
    "scorers": _readings,
    "natural look": _natural_look,
    "ray": _ray,
    "object stores": _object_stores,
}


def findings() -> Iterator[HostFinding]:
    """Look at one thing after the other. What cannot even be looked at is missing."""
    for name, check in CHECKS.items():
        try:
            yield check()
        except PhysbenchError as error:
            yield HostFinding(name, "missing", str(error))
        except Exception as error:
            yield HostFinding(
                name,
                "missing",
                f"{type(error).__name__}: {error}",
                "Reinstall it: pip install --force-reinstall physbench",
            )


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="First compile what the first run on this machine would compile.")
    ] = False,
) -> None:
    """Show what works on this machine and what is missing.

    Exits with 1 where something that every run needs is missing.
    """
    if warm:
        # Compile ahead, and say how long that took.
        from physbench.laws.kernels import KERNELS, compile_kernels

        typer.echo(f"Compiling the {len(KERNELS)} functions of the motion analysis ...", err=True)
        started = time.monotonic()
        many = compile_kernels()
        took = time.monotonic() - started
        typer.echo(f"Compiled {many} in {took:.0f} s." if many else "All are compiled already.", err=True)
    missing = 0
    check_colours = {"ok": "green", "optional": "yellow", "missing": "red"}
    for finding in findings():
        state = typer.style(f"{finding.state:8}", fg=check_colours[finding.state])
        typer.echo(f"{state} {finding.name:18} {finding.text}")
        if finding.remedy:
            typer.echo(f"{'':27} {finding.remedy}")
        missing += finding.state == "missing"
    if missing:
        raise typer.Exit(1)
