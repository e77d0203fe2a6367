"""Trains several reference models side by side on one GPU, on a machine that has torch and no PyBullet.

    python benchmarks/train_zoo.py pack FOLDER --clips 15000 [--part 6500]     where PyBullet is: clips in small files
    python benchmarks/train_zoo.py train FOLDER OUT NAME [NAME ...] --minutes 8      where the GPU is
    python benchmarks/train_zoo.py train FOLDER OUT token-ar --sizes S M --clips 150 1500 15000 --steps 4500

`pack` writes the frames of `physbench train --clips N` (7 kB a clip), from the first context frame on. The trainings of
fewer clips learn from a part of these. `train` unpacks them once and starts a process a model, which share the GPU:
with NVIDIA's multi-process service where the machine has it (or the one that CUDA_MPS_PIPE_DIRECTORY names), else in
turn. OUT gets NAME.safetensors (float16), its card NAME.md with NAME.png (samples), NAME.csv (validation curve) and
NAME.log; NAME-SIZE-CLIPS of each, where there are several of a kind.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import lzma
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from physbench.clips.clip import Row

CONTEXT = 8  # frames, of all kinds
SIZE, FPS = 64, 15


def pack(folder: Path, clips: int, part: int) -> None:
    """Write the frames of the clips of a training, `part` clips a file, those of smaller trainings first."""
    from physbench.clips.generate import render_spec
    from physbench.clips.golden import TRAIN_LISTS
    from physbench.clips.store import ClipStore
    from physbench.data.clip_dataset import training_rows

    smaller = [count for count in TRAIN_LISTS if count < clips]
    rows = list(dict.fromkeys(row for count in (*smaller, clips) for part in training_rows(count) for row in part))
    ClipStore().ensure(rows, render_spec(SIZE, FPS), workers=os.cpu_count() or 1)
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool() as pool:
        squeezed = pool.imap(_squeeze_one, rows, chunksize=8)
        for number, first in enumerate(range(0, len(rows), part)):
            path = folder / f"clips-{number:02d}.zip"
            with zipfile.ZipFile(path.with_suffix(".draft"), "w", zipfile.ZIP_STORED) as archive:
                for row, (length, content) in zip(rows[first : first + part], squeezed, strict=False):
                    archive.writestr(f"{row.id}.{length}", content)
            path.with_suffix(".draft").replace(path)
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


def _squeeze_one(row: Row) -> tuple[int, bytes]:
    from physbench.clips.generate import render_spec
    from physbench.clips.store import ClipStore

    clip = ClipStore().get(row, render_spec(SIZE, FPS))
    frames = clip.frames[clip.window(CONTEXT)]
    return len(frames), squeeze(frames)


def squeeze(frames: np.ndarray) -> bytes:
    """Frames (T, 64, 64, 3) uint8 as few bytes: the first one, and where and to what each changes the one before.

    Each clip has some hundred colours: what is kept are their numbers, in planes of one byte each.
    """
    colour = (frames.astype(np.uint32) << np.array([16, 8, 0], dtype=np.uint32)).sum(-1, dtype=np.uint32)
    colour = colour.reshape(len(frames), -1)
    changed = np.flatnonzero(colour[1:] != colour[:-1])
    colours, number = np.unique(np.concatenate([colour[0], colour[1:].ravel()[changed]]), return_inverse=True)
    if len(colours) > 1 << 16:
        raise ValueError(f"{len(colours)} colours in a clip; 65,536 can be counted")
    head = np.array([len(colours), *colours], dtype="<u4").tobytes()
    gaps = np.diff(changed, prepend=0).astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()
    numbers = number.astype("<u2").view(np.uint8).reshape(-1, 2).T.tobytes()
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
    return lzma.compress(head + gaps + numbers, lzma.FORMAT_XZ, filters=chain)


def unsqueeze(content: bytes, length: int) -> np.ndarray:
    """Frames (T, 3, 64, 64) uint8 of which `squeeze` made bytes; T is `length`."""
    pixels, content = SIZE * SIZE, lzma.decompress(content)
    count = int.from_bytes(content[:4], "little")
    colours = np.frombuffer(content, "<u4", count, 4)
    planes = np.frombuffer(content, np.uint8, offset=4 + 4 * count)
    changes = (len(planes) - 2 * pixels) // 6
    gaps = np.ascontiguousarray(planes[: 4 * changes].reshape(4, -1).T).view("<u4")[:, 0]
    value = colours[np.ascontiguousarray(planes[4 * changes :].reshape(2, -1).T).view("<u2")[:, 0]]
    where = gaps.cumsum()
    colour = np.empty((length, pixels), dtype=np.uint32)
    colour[0] = value[:pixels]
    ends = np.searchsorted(where, np.arange(length) * pixels)
    for frame in range(1, length):
        colour[frame] = colour[frame - 1]
        here = slice(ends[frame - 1], ends[frame])
        colour[frame, where[here] - (frame - 1) * pixels] = value[pixels:][here]
    whole = colour.reshape(length, SIZE, SIZE)
    return np.stack([whole >> 16, whole >> 8, whole], 1).astype(np.uint8)


def unpack(path: Path, out: Path) -> None:
    """Unpack a file of clips into an array OUT.npy (F, 3, 64, 64) uint8, and OUT.json, the frames of each clip."""
    if out.with_suffix(".json").exists():
        return
    with zipfile.ZipFile(path) as archive:
        names = [name.rsplit(".", 1) for name in archive.namelist()]
    lengths = [int(length) for _, length in names]
    np.lib.format.open_memmap(out.with_suffix(".npy"), "w+", np.uint8, (sum(lengths), 3, SIZE, SIZE))
    firsts = itertools.accumulate(lengths[:-1], initial=0)
    with multiprocessing.Pool() as pool:
        jobs = zip(names, lengths, firsts, strict=True)
        pool.map(partial(_unpack_one, path, out.with_suffix(".npy")), jobs, chunksize=8)
    out.with_suffix(".json").write_text(json.dumps(dict(names)))


def _unpack_one(path: Path, out: Path, job: tuple[list[str], int, int]) -> None:
    name, length, first = job
    with zipfile.ZipFile(path) as archive:
        video = unsqueeze(archive.read(".".join(name)), length)
    np.lib.format.open_memmap(out, "r+")[first : first + length] = video


class UnpackedEpisodes:
    """Episodes of arrays that all processes of the machine share, of the clips that were unpacked."""

    def __init__(self, data: Path, rows: Sequence[Row]) -> None:
        self.places: dict[str, tuple[np.ndarray, int, int]] = {}
        for listed in sorted(data.glob("clips-*.json")):
            frames, first = np.load(listed.with_suffix(".npy"), mmap_mode="r"), 0
            for name, length in json.loads(listed.read_text()).items():
                self.places[name] = frames, first, int(length)
                first += int(length)
        self.rows = [row for row in rows if row.id in self.places]

    def __len__(self) -> int:
        return len(self.rows)

    def frames(self, index: int) -> Tensor:
        """Frames (T, 3, 64, 64) uint8."""
        frames, first, length = self.places[self.rows[index].id]
        return torch.from_numpy(np.array(frames[first : first + length]))

    def actions(self, index: int) -> None:
        """None: nothing is pushed."""
        return None


@dataclass(frozen=True)
class Training:
    """A kind of model, the size of its network and the number of clips that it learns from."""

    name: str
    size: str
    clips: int

    def __str__(self) -> str:
        return f"{self.name}-{self.size}-{self.clips}"


def train_one(what: Training, label: str, data: Path, out: Path, given: argparse.Namespace) -> None:
    """Train one kind of model and write its files."""
    from physbench import __version__
    from physbench.data.clip_dataset import training_rows
    from physbench.models.safetensors_files import save_checkpoint
    from physbench.reference.train import first_clip_of_each_task, learn, save_sample_sheet, training_card

    pages = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())  # physbench is not installed here
    module, attribute = pages["project"]["entry-points"]["physbench.architectures"][what.name].split(":")
    architecture = getattr(import_module(module), attribute)
    config = architecture.config(what.size)
    rows, watched = training_rows(what.clips)
    episodes, held_out = UnpackedEpisodes(data, rows), UnpackedEpisodes(data, watched)
    if len(episodes) < len(rows) or not len(held_out):
        raise SystemExit(f"{len(episodes)} of {len(rows)} clips were packed: pack --clips {what.clips} first")
    folder = data / f"training-{what}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    device, seed, minutes, steps = given.device, given.seed, given.minutes, given.steps
    torch.set_float32_matmul_precision("high")
    training = {
        "physbench": __version__, "torch": torch.__version__, "clips": what.clips, "split": "train",
        "size": what.size, "seed": seed, "minutes": minutes, "steps": steps,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }  # fmt: skip
    net, seconds = learn(
        architecture, config, episodes, folder, training, seed=seed, steps=steps, minutes=minutes, device=device,
        resume=False, threads=1, watched=held_out,
    )  # fmt: skip
    training["seconds"] = {stage: round(value, 1) for stage, value in seconds.items()}
    half = {key: value.half() if value.is_floating_point() else value for key, value in net.state_dict().items()}
    draft = out / f"{label}.draft"
    save_checkpoint(
        draft, half, architecture=what.name, config=config, card=architecture.card(config), training=training
    )  # fmt: skip
    draft.replace(out / f"{label}.safetensors")
    if (folder / "curve.csv").exists():
        shutil.copy(folder / "curve.csv", out / f"{label}.csv")
    model = architecture.wrap(net, architecture.card(config), torch.device(device), torch.float32)
    save_sample_sheet(out / f"{label}.png", architecture, model, held_out, first_clip_of_each_task(held_out.rows))
    numbers = sum(each.numel() for each in net.parameters())
    card = training_card(architecture, model.card, numbers, training, folder, f"{label}.png")
    (out / f"{label}.md").write_text(card, encoding="utf-8")
    print(f"{label}: {seconds}", flush=True)


def unpacked(folder: Path) -> Path:
    """The folder of the unpacked files of a folder."""
    started = time.monotonic()
    data = Path(tempfile.gettempdir()) / "physbench-zoo"
    data.mkdir(exist_ok=True)
    for path in sorted(folder.glob("*.zip")):
        sent = hashlib.sha256(f"{path.name} {path.stat().st_size}".encode()).hexdigest()[:8]
        unpack(path, data / f"{path.stem}-{sent}")
    print(f"unpacked in {time.monotonic() - started:.0f} s", flush=True)
    return data


@contextlib.contextmanager
def shared_gpu(data: Path) -> Iterator[dict[str, str]]:
    """The environment of processes that work on the GPU at the same time, rather than in turn."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    service = shutil.which("nvidia-cuda-mps-control", path=f"{os.environ['PATH']}:/usr/local/nvidia/bin")
    if service is None or "CUDA_MPS_PIPE_DIRECTORY" in os.environ:
        yield environment
        return
    environment |= {"CUDA_MPS_PIPE_DIRECTORY": str(data / "mps"), "CUDA_MPS_LOG_DIRECTORY": str(data / "mps-log")}
    begun = subprocess.run([service, "-d"], env=environment, check=False).returncode == 0
    print("multi-process service: " + ("started" if begun else "refused"), flush=True)
    yield environment
    subprocess.run([service], input=b"quit\n", env=environment, check=False)


def train_all(trainings: Sequence[Training], folder: Path, out: Path, given: argparse.Namespace) -> int:
    """Unpack, then train all at once, a process each. Returns 0 where all went well."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    data = unpacked(folder)
    kinds = Counter(each.name for each in trainings)
    labels = {each: each.name if kinds[each.name] == 1 else str(each) for each in trainings}
    codes, running = [], {}
    with shared_gpu(data) if given.device == "cuda" else contextlib.nullcontext(dict(os.environ)) as environment:
        for each, label in labels.items():
            command = [sys.executable, __file__, "one", str(data), str(out), each.name, "--sizes", each.size]
            command += ["--clips", str(each.clips), "--label", label, "--device", given.device]
            command += ["--seed", str(given.seed)]
            command += [] if given.minutes is None else ["--minutes", str(given.minutes)]
            command += [] if given.steps is None else ["--steps", str(given.steps)]
            with (out / f"{label}.log").open("w") as log:
                running[label] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        for label, process in running.items():
            codes.append(process.wait())
            words = (out / f"{label}.log").read_text(errors="replace").split("\n")
            told = f"{label}: exit {codes[-1]} after {time.monotonic() - started:.0f} s"
            print(told, *words[-6:], sep="\n    ", flush=True)
    return max(map(abs, codes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--clips", type=int, default=1500)
    packing.add_argument("--part", type=int, default=6500, help="clips a file")
    for command in ("train", "one"):
        each = commands.add_parser(command)
        each.add_argument("folder", type=Path)
        each.add_argument("out", type=Path)
        each.add_argument("names", nargs="+", metavar="NAME")
        each.add_argument("--sizes", nargs="+", default=["S"])
        each.add_argument("--clips", type=int, nargs="+", default=[1500])
        each.add_argument("--minutes", type=float, help="of the training alone")
        each.add_argument("--steps", type=int, help="of the main stage, instead of minutes")
        each.add_argument("--device", default="cuda")
        each.add_argument("--seed", type=int, default=0)
        if command == "one":  # what `train` starts
            each.add_argument("--label", required=True)
    given = parser.parse_args()
    if given.command == "pack":
        pack(given.folder, given.clips, given.part)
        return
    if (given.minutes is None) == (given.steps is None):
        parser.error("give --minutes or --steps")
    trainings = [Training(*each) for each in itertools.product(given.names, given.sizes, given.clips)]
    if given.command == "train":
        sys.exit(min(train_all(trainings, given.folder, given.out, given), 1))
    train_one(trainings[0], given.label, given.folder, given.out, given)


if __name__ == "__main__":
    main()
