"""Trains several kinds of reference model side by side on one GPU, on a machine that has torch and no PyBullet.

    python benchmarks/train_zoo.py pack FOLDER --clips 4500 [--part 1500]      where PyBullet is: clips into small files
    python benchmarks/train_zoo.py train FOLDER OUT NAME [NAME ...] --minutes 8       where the GPU is

`pack` writes the frames of `physbench train --clips N` (7 kB a clip), from the first context frame on. `train` unpacks
them once and starts a process a model, which share the GPU: with NVIDIA's multi-process service where the machine has
it, else in turn. OUT gets NAME.safetensors (float16), its card NAME.md with NAME.png (samples), NAME.csv
(validation curve) and NAME.log.
"""

from __future__ import annotations

import argparse
import hashlib
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
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CONTEXT = 8  # frames, of all kinds
SIZE, FPS = 64, 15


def pack(folder: Path, clips: int, part: int) -> None:
    """Write the frames of the clips of a training, `part` clips a file, in the order of the suite."""
    from physbench.clips.generate import render_spec
    from physbench.clips.store import ClipStore
    from physbench.data.episodes import training_rows

    rows, held_out = training_rows(clips)
    store, spec = ClipStore(), render_spec(SIZE, FPS)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, chosen in (("train", rows), ("held-out", held_out)):
        order = np.random.default_rng(0).permutation(len(chosen))  # each file has clips of all tasks
        for number, first in enumerate(range(0, len(chosen), part)):
            path = folder / f"{kind}-{number:02d}.zip"
            with zipfile.ZipFile(path.with_suffix(".draft"), "w", zipfile.ZIP_STORED) as archive:
                for index in order[first : first + part].tolist():
                    clip = store.get(chosen[index], spec)
                    frames = clip.frames[clip.window(CONTEXT)]
                    archive.writestr(f"{clip.id}.{len(frames)}", squeeze(frames))
            path.with_suffix(".draft").replace(path)
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


def squeeze(frames: np.ndarray) -> bytes:
    """Frames (T, 64, 64, 3) uint8 as few bytes: each clip has some hundred colours."""
    whole = frames.astype(np.uint32)
    colours, number = np.unique((whole[..., 0] << 16 | whole[..., 1] << 8 | whole[..., 2]).ravel(), return_inverse=True)
    if len(colours) > 1 << 16:
        raise ValueError(f"{len(colours)} colours in a clip; 65,536 can be counted")
    low, high = (number & 255).astype(np.uint8), (number >> 8).astype(np.uint8)
    head = np.array([len(colours), *colours], dtype="<u4").tobytes()
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 4, "lp": 0, "pb": 0}]
    return lzma.compress(head + low.tobytes() + high.tobytes(), lzma.FORMAT_XZ, filters=chain)


def unsqueeze(content: bytes) -> np.ndarray:
    """Frames (T, 3, 64, 64) uint8 of which `squeeze` made bytes."""
    content = lzma.decompress(content)
    count = int.from_bytes(content[:4], "little")
    colours = np.frombuffer(content, "<u4", count, 4)
    low, high = np.frombuffer(content, np.uint8, offset=4 + 4 * count).reshape(2, -1, SIZE, SIZE)
    whole = colours[low + (high.astype(np.int64) << 8)]
    return np.stack([whole >> 16, whole >> 8, whole], 1).astype(np.uint8)


def _unpack_one(task: tuple[str, str, int], out: str, total: int) -> None:
    path, name, first = task
    length = int(name.rsplit(".", 1)[1])
    with zipfile.ZipFile(path) as archive:
        video = unsqueeze(archive.read(name))
    frames = np.lib.format.open_memmap(out, mode="r+", dtype=np.uint8, shape=(total, 3, SIZE, SIZE))
    frames[first : first + length] = video


def unpack(folder: Path, kind: str, out: Path) -> None:
    """Unpack the files of a kind into one array OUT (F, 3, 64, 64) uint8, and the number of frames of each clip."""
    if out.with_suffix(".lengths.npy").exists():
        return
    tasks, total = [], 0
    for path in sorted(folder.glob(f"{kind}-*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                tasks.append((str(path), name, total))
                total += int(name.rsplit(".", 1)[1])
    np.lib.format.open_memmap(str(out), mode="w+", dtype=np.uint8, shape=(total, 3, SIZE, SIZE)).flush()
    with multiprocessing.Pool() as pool:
        pool.map(partial(_unpack_one, out=str(out), total=total), tasks, chunksize=8)
    np.save(out.with_suffix(".lengths.npy"), np.array([int(name.rsplit(".", 1)[1]) for _, name, _ in tasks]))


class UnpackedEpisodes:
    """Episodes of an array that all processes of the machine share."""

    def __init__(self, path: Path) -> None:
        self.array = torch.from_numpy(np.load(path, mmap_mode="c"))
        lengths = np.load(path.with_suffix(".lengths.npy"))
        self.length, self.first = lengths.tolist(), (lengths.cumsum() - lengths).tolist()

    def __len__(self) -> int:
        return len(self.length)

    def frames(self, index: int) -> Tensor:
        """Frames (T, 3, 64, 64) uint8."""
        return self.array[self.first[index] : self.first[index] + self.length[index]]

    def actions(self, index: int) -> None:
        """None: nothing is pushed."""
        return None


def train_one(name: str, data: Path, out: Path, given: argparse.Namespace) -> None:
    """Train one kind of model and write its files."""
    from physbench import __version__
    from physbench.models.safetensors_files import save_checkpoint
    from physbench.reference.train import learn, save_sample_sheet, training_card

    pages = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())  # physbench is not installed here
    module, attribute = pages["project"]["entry-points"]["physbench.architectures"][name].split(":")
    architecture = getattr(import_module(module), attribute)
    config = architecture.config()
    episodes, held_out = (UnpackedEpisodes(data / f"{kind}.npy") for kind in ("train", "held-out"))
    folder = data / f"training-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    device, seed, minutes, steps = given.device, given.seed, given.minutes, given.steps
    torch.set_float32_matmul_precision("high")
    training = {
        "physbench": __version__, "torch": torch.__version__, "clips": len(episodes) + len(held_out), "split": "train",
        "seed": seed, "minutes": minutes, "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }  # fmt: skip
    net, seconds = learn(
        architecture, config, episodes, folder, training, seed=seed, steps=steps, minutes=minutes, device=device,
        resume=False, threads=1, watched=held_out,
    )  # fmt: skip
    training["seconds"] = {stage: round(value, 1) for stage, value in seconds.items()}
    half = {key: value.half() if value.is_floating_point() else value for key, value in net.state_dict().items()}
    save_checkpoint(
        out / f"{name}.safetensors", half, architecture=name, config=config, card=architecture.card(config),
        training=training,
    )  # fmt: skip
    if (folder / "curve.csv").exists():
        shutil.copy(folder / "curve.csv", out / f"{name}.csv")
    model = architecture.wrap(net, architecture.card(config), torch.device(device), torch.float32)
    chosen = list(range(min(14, len(held_out))))
    save_sample_sheet(out / f"{name}.png", architecture, model, held_out, chosen)
    numbers = sum(each.numel() for each in net.parameters())
    card = training_card(name, architecture.summary, model.card, numbers, training, folder, f"{name}.png")
    (out / f"{name}.md").write_text(card, encoding="utf-8")
    print(f"{name}: {seconds}", flush=True)


def train_all(names: list[str], folder: Path, out: Path, given: argparse.Namespace) -> int:
    """Unpack, then train all at once, a process each. Returns 0 where all went well."""
    started, device = time.monotonic(), given.device
    out.mkdir(parents=True, exist_ok=True)
    files = [f"{path.name} {path.stat().st_size}" for path in sorted(folder.glob("*.zip"))]
    place = hashlib.sha256("|".join(files).encode()).hexdigest()[:16]  # unpacked once
    data = Path(tempfile.gettempdir()) / f"physbench-zoo-{place}"
    data.mkdir(exist_ok=True)
    for kind in ("train", "held-out"):
        unpack(folder, kind, data / f"{kind}.npy")
    print(f"unpacked in {time.monotonic() - started:.0f} s", flush=True)
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    service = shutil.which("nvidia-cuda-mps-control", path=f"{os.environ['PATH']}:/usr/local/nvidia/bin")
    if device == "cuda" and service:
        environment |= {"CUDA_MPS_PIPE_DIRECTORY": str(data / "mps"), "CUDA_MPS_LOG_DIRECTORY": str(data / "mps-log")}
        begun = subprocess.run([service, "-d"], env=environment, check=False).returncode == 0
        print("multi-process service: " + ("started" if begun else "refused"), flush=True)
    running = {}
    for name in names:
        command = [sys.executable, __file__, "one", name, str(data), str(out), "--device", device]
        command += ["--seed", str(given.seed)]
        command += [] if given.minutes is None else ["--minutes", str(given.minutes)]
        command += [] if given.steps is None else ["--steps", str(given.steps)]
        log = (out / f"{name}.log").open("w")
        running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    codes = []
    for name, process in running.items():
        code = process.wait()
        codes.append(code)
        words = (out / f"{name}.log").read_text(errors="replace").split("\n")
        print(f"{name}: exit {code} after {time.monotonic() - started:.0f} s", *words[-6:], sep="\n    ", flush=True)
    if device == "cuda" and service:
        subprocess.run([service], input=b"quit\n", env=environment, check=False)
    return max(map(abs, codes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--clips", type=int, default=1500)
    packing.add_argument("--part", type=int, default=1500)
    for command in ("train", "one"):
        each = commands.add_parser(command)
        if command == "one":  # what `train` starts
            each.add_argument("name")
        each.add_argument("folder", type=Path)
        each.add_argument("out", type=Path)
        if command == "train":
            each.add_argument("names", nargs="+")
        each.add_argument("--minutes", type=float, help="of the training alone")
        each.add_argument("--steps", type=int, help="of the main stage, instead of minutes")
        each.add_argument("--device", default="cuda")
        each.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.command == "pack":
        pack(given.folder, given.clips, given.part)
    elif given.command == "train":
        if (given.minutes is None) == (given.steps is None):
            parser.error("give --minutes or --steps")
        sys.exit(min(train_all(given.names, given.folder, given.out, given), 1))
    else:
        train_one(given.name, given.folder, given.out, given)


if __name__ == "__main__":
    main()
