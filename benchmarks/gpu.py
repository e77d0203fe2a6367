"""What an evaluation makes of a GPU: how busy it is, and what copies, precision and tracking cost on it.

    python benchmarks/gpu.py [SECTION ...] --clips FILE.clips [FILE.clips ...] [--device cuda] [--batch-size 8]

The archives are of `physbench data pack core`, at 15 frames/s: no PyBullet is needed. Sections (all, where none is
named):
    busy       a model that computes 50 ms a batch, on all clips of each archive, by `rollout` and by `eval`
    models     `rollout` of `reference:objects` and of `simple` with random weights (with --autocast and --compile as
               well) at 64 px; of a Wan pipeline with 1.4 B random weights at other sizes
    copies     a batch of floats on the device -> levels in main memory: as a run does it, and with plain copies
    tracking   the tracker on the device beside one core, clip by clip, and by how much their tracks differ

`busy` is the share of the time from the first call of the model to the end of the last but one in which the device has
work of the model, by events on the device; `kernels` what nvidia-smi says of the same time, where it is there. `later`
is the same without the first call, in which CUDA starts.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from physbench.clips.clip import Row
from physbench.clips.packed import PackedClips, opened_archive
from physbench.clips.suite import find_suite
from physbench.models.load_model import load_model
from physbench.models.protocol import ModelCard
from physbench.rollout.device import FrameReceiver, normalized_frames, synchronize
from physbench.track.tracker import track

PROGRAM = [sys.executable, "-c", "from physbench.cli.main import main; main()"]
CONTEXT, FPS = 8, 15.0
WORK = 4096  # side of the matrices that are multiplied
SAMPLING = 100  # ms between two readings of nvidia-smi


class Spans:
    """When the device worked for the model: a line of two times for each call, ms after the first one began."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self.path, self.device = path, device
        self._first: torch.cuda.Event | None = None
        self._open: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def watched(self, call: Callable[[], Any]) -> Any:
        """What a call returns. Its times are written at the next one, when the device is done with it."""
        if self.device.type != "cuda":
            begun = 1e3 * time.monotonic()
            answer = call()
            self._write(begun, 1e3 * time.monotonic())
            return answer
        while self._open:
            before, after = self._open.pop(0)
            after.synchronize()
            assert self._first is not None
            self._write(self._first.elapsed_time(before), self._first.elapsed_time(after))
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        answer = call()
        after.record()
        self._first = self._first or before
        self._open.append((before, after))
        return answer

    def _write(self, begun: float, ended: float) -> None:
        with self.path.open("a") as file:
            file.write(f"{begun} {ended}\n")


class Busy:
    """Repeats the last frame after a fixed time of work on the device."""

    def __init__(self, size: int, milliseconds: float, device: torch.device) -> None:
        self.card = ModelCard("busy", (size, size), FPS, CONTEXT)
        side = WORK if device.type == "cuda" else 512
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.matrix, self.out = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        self.times = 1
        self._work(50)
        synchronize(device)
        begun = time.perf_counter()
        self._work(200)
        synchronize(device)
        self.times = max(1, round(200 * milliseconds / 1e3 / (time.perf_counter() - begun)))

    def _work(self, times: int) -> None:
        for _ in range(times):
            torch.mm(self.matrix, self.matrix, out=self.out)

    def rollout(self, context: Tensor, *, horizon: int, **_: Any) -> Tensor:
        self._work(self.times)
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


class Watched:
    """A model whose calls are timed on the device."""

    def __init__(self, model: Any, spans: Spans) -> None:
        self.model, self.spans, self.card = model, spans, model.card

    def rollout(self, context: Tensor, **given: Any) -> Any:
        answer = self.spans.watched(lambda: self.model.rollout(context, **given))
        return answer if isinstance(answer, Tensor) else self._chunks(answer)

    def _chunks(self, answer: Iterator[Tensor]) -> Iterator[Tensor]:
        while (chunk := self.spans.watched(lambda: next(answer, None))) is not None:
            yield chunk


def busy(device: torch.device, dtype: torch.dtype, *, log: str, size: str = "64", milliseconds: str = "50") -> Watched:
    """The factory of the model that computes some ms a batch."""
    return Watched(Busy(int(size), float(milliseconds), device), Spans(Path(log), device))


def watched(device: torch.device, dtype: torch.dtype, *, log: str, target: str, **given: str) -> Watched:
    """The factory of any other model, with its own arguments."""
    model = load_model(target, device=device, dtype=dtype, model_args=given)
    return Watched(model, Spans(Path(log), device))


@dataclass(frozen=True)
class Use:
    """What a command made of the device."""

    wall: float  # s
    calls: int
    milliseconds: float  # a call
    span: float  # s from the first call to the end of the last
    busy: float
    later: float
    kernels: float | None

    def __str__(self) -> str:
        kernels = "" if self.kernels is None else f", kernels {self.kernels:.2f}"
        calls = f"{self.calls} calls of {self.milliseconds:.1f} ms in {self.span:.1f} s"
        return f"{calls}: busy {self.busy:.3f}, later {self.later:.3f}{kernels}; whole command {self.wall:.1f} s"


def device_use(*words: str, log: Path) -> Use:
    """Run a command of physbench whose model writes its spans to `log`. Raises SystemExit where it fails."""
    log.unlink(missing_ok=True)
    readings: list[float] = []
    with _kernel_readings(readings):
        begun = time.perf_counter()
        done = subprocess.run([*PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wall = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"physbench {' '.join(words)} failed: {done.stderr[-2000:]}")
    spans = np.loadtxt(log, ndmin=2)
    worked, span = np.diff(spans).sum(), spans[-1, 1] - spans[0, 0]
    at_work = np.flatnonzero(readings)
    kernels = float(np.mean(readings[at_work[0] : at_work[-1] + 1])) / 100 if len(at_work) else None
    later = np.diff(spans[1:]).sum() / (spans[-1, 1] - spans[1, 0]) if len(spans) > 1 else np.nan
    return Use(wall, len(spans), worked / len(spans), span / 1e3, worked / span, later, kernels)


@contextlib.contextmanager
def _kernel_readings(readings: list[float]) -> Iterator[None]:
    """Collects the shares of time, in %, in which nvidia-smi sees a kernel at work."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", str(SAMPLING)]
    try:
        process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    except OSError:
        yield
        return

    def read() -> None:
        assert process.stdout is not None
        readings.extend(float(line.split()[0]) for line in process.stdout if line.strip()[:1].isdigit())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        process.kill()
        reader.join()


def command(stage: str, factory: str, asked: argparse.Namespace, clips: Path, out: Path, **given: object) -> list[str]:
    """The words of a stage, or of `eval`, on all clips of an archive."""
    arguments = [word for name, value in given.items() for word in ("--model-arg", f"{name}={value}")]
    which = ["--suite", "core", "--clips", str(clips), "--limit", str(len(archived(clips)[1]))]
    words = [stage, f"{Path(__file__)}:{factory}", *arguments, *which, "--out", str(out), "--fresh"]
    words += ["--device", asked.device, "--batch-size", str(asked.batch_size)]
    return words + (["--no-diagnosis"] if stage == "eval" else [])


def archived(path: Path) -> tuple[PackedClips, Sequence[Row], int]:
    """An archive of `core`, its clips and their side in px."""
    archive = opened_archive(str(path))
    return archive, find_suite("core", limit=len(archive)).rows, archive.spec.height


def say(words: str) -> None:
    print(words, flush=True)


def busy_section(asked: argparse.Namespace, folder: Path) -> None:
    for clips in asked.clips:
        _, rows, size = archived(clips)
        given = {"log": folder / "spans", "size": size, "milliseconds": asked.milliseconds}
        for what, stage in (("rollout", "rollout"), ("eval, no caches", "eval"), ("eval", "eval")):
            words = command(stage, "busy", asked, clips, folder / "busy", **given)
            say(f"busy, {len(rows)} clips of {size} px, {what}: {device_use(*words, log=folder / 'spans')}")


def simple_checkpoint(folder: Path) -> Path:
    """`simple` with random weights, as `physbench train` writes it."""
    from physbench.models.safetensors_files import save_checkpoint
    from physbench.reference.simple import Simple

    architecture, path = Simple(), folder / "simple.safetensors"
    torch.manual_seed(0)
    config = architecture.config()
    net = architecture.net(config)
    card = architecture.card(config)
    save_checkpoint(path, net.state_dict(), architecture="simple", config=config, card=card, training={})
    return path


def video_pipeline(folder: Path, layers: int) -> Path:
    """A Wan image-to-video pipeline with random weights: transformer (30 layers: 1.4 B) and autoencoder of Wan 2.1."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline
    from tiny_parts import clip_vision, t5
    from tiny_wan import wan_transformer

    torch.manual_seed(0)
    sizes = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": layers}
    channels = {"in_channels": 36, "out_channels": 16, "freq_dim": 256, "rope_max_seq_len": 1024, "image_dim": 8}
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        transformer = wan_transformer(**sizes, **channels).to(torch.bfloat16)
        vae = AutoencoderKLWan().to(torch.bfloat16)
    vision = clip_vision()
    pipe = WanImageToVideoPipeline(
        transformer=transformer.cpu(),
        vae=vae.cpu(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        image_encoder=vision["encoder"],
        image_processor=vision["processor"],
        **t5(),
    )
    say(f"the pipeline has {sum(each.numel() for each in transformer.parameters()) / 1e9:.2f} B weights")
    pipe.save_pretrained(folder / "wan", safe_serialization=True)
    return folder / "wan"


def models_section(asked: argparse.Namespace, folder: Path) -> None:
    given: dict[str, object] = {"log": folder / "spans"}
    for clips in asked.clips:
        _, rows, size = archived(clips)
        if size == 64:
            objects, simple = given | {"target": "reference:objects"}, given | {"target": simple_checkpoint(folder)}
            ways = [("objects", objects, []), ("simple", simple, [])]
            ways += [(f"simple {' '.join(more)}", simple, more) for more in (["--autocast", "bfloat16"], ["--compile"])]
            for name, arguments, more in ways:
                words = command("rollout", "watched", asked, clips, folder / "models", **arguments)
                say(f"{name}, {len(rows)} clips, rollout: {device_use(*words, *more, log=folder / 'spans')}")
        else:
            arguments = given | {
                "target": f"diffusers:{video_pipeline(folder, asked.layers)}",
                "width": size,
                "height": size,
            }
            arguments |= {"fps": f"{FPS:g}", "num_inference_steps": 10}
            few = [*command("rollout", "watched", asked, clips, folder / "models", **arguments), "--dtype", "bfloat16"]
            few[few.index("--limit") + 1] = str(asked.few)
            say(f"Wan, {asked.few} clips of {size} px, rollout: {device_use(*few, log=folder / 'spans')}")


def _seconds(function: Callable[[], object], device: torch.device, repeats: int = 7) -> float:
    """Least wall time of a function, from an idle device until it is idle again."""
    times = []
    for _ in range(repeats):
        synchronize(device)
        begun = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - begun)
    return min(times)


def copies_section(asked: argparse.Namespace, folder: Path) -> None:
    device, horizon = torch.device(asked.device), 60
    for clips in asked.clips:
        size = archived(clips)[2]
        shape = (asked.batch_size, horizon, 3, size, size)
        frames, out = torch.rand(shape, device=device), torch.empty(shape, dtype=torch.uint8)
        context = torch.zeros(asked.batch_size, CONTEXT, 3, size, size, dtype=torch.uint8)

        def received(frames: Tensor = frames, out: Tensor = out) -> None:
            receiver = FrameReceiver(horizon)
            receiver.store(frames, out, 0)
            receiver.wait()

        ways: dict[str, Callable[[], object]] = {
            "checked, rounded, into main memory": received,
            "rounded on the device, pageable copy": lambda f=frames, o=out: o.copy_((f * 255 + 0.5).to(torch.uint8)),
            "floats to the host, rounded there": lambda f=frames, o=out: o.copy_((f.cpu() * 255 + 0.5).to(torch.uint8)),
            "context to the device": lambda c=context: normalized_frames(c, device, torch.float32),
        }
        for name, way in ways.items():
            cost = 1e3 * _seconds(way, device)
            say(f"copies, {asked.batch_size} x {horizon} frames of {size} px, {name}: {cost:.2f} ms")


def tracking_section(asked: argparse.Namespace, folder: Path) -> None:
    device = torch.device(asked.device)
    torch.set_num_threads(1)
    for path in asked.clips:
        archive, rows, size = archived(path)
        times: dict[str, list[float]] = {"cpu": [], str(device): []}
        off, frames = [0.0], 0
        for number, row in enumerate([rows[0], *rows[:: max(1, len(rows) // asked.few)]]):
            clip = archive.get(row, archive.spec)
            video = torch.from_numpy(clip.frames[clip.window(CONTEXT)].copy())
            tracks = {}
            for name in times:
                given = video.to(name)
                synchronize(device)
                begun = time.perf_counter()
                tracks[name] = track(clip, CONTEXT, given)
                synchronize(device)
                if number:  # the first one warms up
                    times[name].append(time.perf_counter() - begun)
            frames += len(video) if number else 0
            one, other = tracks["cpu"].position, tracks[str(device)].position
            off.append(float(np.nanmax(np.abs(one - other), initial=0.0)))
            assert (np.isnan(one) == np.isnan(other)).all(), row
        cost = ", ".join(f"{name} {1e3 * sum(each) / frames:.2f}" for name, each in times.items())
        say(
            f"tracking, {len(times['cpu'])} clips of {size} px, ms a frame: {cost}; centres differ by {max(off):.1e} px"
        )


SECTIONS = {"busy": busy_section, "models": models_section, "copies": copies_section, "tracking": tracking_section}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--milliseconds", type=float, default=50, help="of work a batch")
    parser.add_argument("--layers", type=int, default=30, help="of the video pipeline")
    parser.add_argument("--few", type=int, default=28, help="clips of the video pipeline, and clips that are tracked")
    asked = parser.parse_args(words)
    if asked.device.startswith("cuda"):
        say(f"{torch.cuda.get_device_name(asked.device)}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.sections or SECTIONS:
            SECTIONS[name](asked, Path(folder))


if __name__ == "__main__":
    main()
