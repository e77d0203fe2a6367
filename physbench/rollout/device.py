"""Devices: their names, memory and errors, networks through torch.compile, and frames on their way from and to memory.

Frames are checked and rounded to uint8 as they arrive.
"""

from __future__ import annotations

import contextlib
import gc
import platform
import resource
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import getattr_static
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.models.networks import find_networks
from physbench.rollout.device_names import check_device_name
from physbench.support.errors import ModelError, UsageError, nearest
from physbench.support.plugins import first_line

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}


def find_device(name: str) -> torch.device:
    """Find a device by name; "auto" is the first of cuda, mps and cpu that exists. Raises UsageError."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    check_device_name(name)
    kind, _, index = name.partition(":")
    available = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(index or 0) >= available:
        count = "none" if available == 0 else f"{available}"
        raise UsageError(
            f"--device {name}: torch {torch.__version__} sees {count} of that kind here; try --device cpu."
        )
    return torch.device(name)


def find_dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise UsageError(f"--dtype: there is no '{name}'.{nearest(name, DTYPES)}")
    return DTYPES[name]


def find_autocast(name: str | None, device: torch.device) -> torch.dtype | None:
    """The type that torch.autocast computes in on a device; None for None. Raises UsageError."""
    if name is None:
        return None
    if device.type not in ("cuda", "cpu"):
        raise UsageError(f"--autocast: it is for cuda and cpu, and the model runs on {device.type}. Leave it out.")
    if device.type == "cpu" and name != "bfloat16":
        raise UsageError(f"--autocast {name}: on the CPU say bfloat16, or leave it out.")
    return find_dtype(name)


def device_name(device: torch.device) -> str:
    """Name of the hardware, for the manifest."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means that memory is full, on the device or in main memory."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    out_of_memory_words = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in out_of_memory_words)


def is_device_lost(error: BaseException) -> bool:
    """True if the device can no longer be used in this process, as after a failed assertion in a CUDA kernel."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error) and not is_out_of_memory(error)


def free_memory() -> None:
    """Free the memory that a failed attempt has left allocated."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_memory(device: torch.device) -> tuple[int, int]:
    """Peak bytes of this process, in main memory and on the device."""
    return _peak_resident(), torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def _peak_resident() -> int:
    try:  # getrusage includes the size of the parent at the start of this process
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_bytes(device: torch.device) -> int:
    """Bytes that a batch may still use."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    limits = [_memory_available(), _control_group_left()]
    return min((limit for limit in limits if limit is not None), default=4 * 2**30)


def _memory_available() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _control_group_left() -> int | None:
    """Bytes that the control group of a container leaves, or None without a limit."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # none, or "max"
        return None


def is_queued(device: torch.device) -> bool:
    """True if work on a device is queued, so that the host goes on before it is done, and can tell when."""
    return device.type == "cuda"


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


# `--compile`: a model's networks go through torch.compile, which does its work anew for each shape of their inputs.

NOT_CALLED = (
    "--compile changed nothing: no network's `forward` was called, and nothing else is compiled. Let `rollout` call "
    "networks as `net(x)`."
)


def networks_for(option: str, model: object, name: str) -> tuple[nn.Module, ...]:
    """The networks of a model, for an option that changes how they compute. Raises UsageError where it has none."""
    if networks := find_networks(model):
        return networks
    raise UsageError(f"{option}: {name} holds no torch.nn.Module, and other code stays as it is. Leave it out.")


class CompiledNetworks:
    """Compiles the outermost `forward` methods of networks, in place.

    `called`: whether one of them has been called since. `notes`: of networks that are not compiled after all, as the
    compiler failed on an input of theirs. Their answers are those of the model, so that no clip fails for it.
    """

    def __init__(self, networks: Iterable[nn.Module], device: torch.device) -> None:
        """Raises ModelError where nothing can be compiled for this device, as without a C++ compiler."""
        self.called = False
        self.notes: set[str] = set()
        try:
            torch.compile(torch.sin, dynamic=False)(torch.ones(8, device=device))
        except Exception as error:
            if not _is_of_compiler(error):
                raise
            raise ModelError(f"--compile: torch cannot compile here ({_reason(error)}). Leave it out.") from error
        for network in with_forward(networks):
            network.forward = self._compiled(network)

    def _compiled(self, network: nn.Module) -> Callable[..., Any]:
        plain, kind = network.forward, type(network).__name__
        compiled = torch.compile(plain, dynamic=False)

        def forward(*args: Any, **kwargs: Any) -> Any:
            self.called = True
            try:
                return compiled(*args, **kwargs)
            except Exception as error:
                if not _is_of_compiler(error):
                    raise
                self.notes.add(f"--compile: torch cannot compile {kind} ({_reason(error)}): it runs uncompiled.")
            network.forward = plain
            return plain(*args, **kwargs)

        return forward


def with_forward(networks: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The outermost modules that have a `forward`: of a ModuleList its elements."""
    for network in networks:
        if getattr_static(type(network), "forward") is nn.Module.forward:  # TorchScript makes its own when it is asked
            yield from with_forward(network.children())
        else:
            yield network


def _is_of_compiler(error: Exception) -> bool:
    """True if an error says that something cannot be compiled; one of the model itself, or of full memory, does not."""
    # packages whose errors say that something cannot be compiled
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor")) and not is_out_of_memory(error)


def _reason(error: Exception) -> str:
    return first_line(str(error)).rstrip(".")


# Frames between main memory and the device. To and from CUDA the host does not wait: copies use pinned memory.

ROUNDED_TOGETHER = 1 << 25  # values of a chunk: bounds what rounding needs on the device beside the chunk itself


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; from main memory to CUDA through pinned memory."""
    if is_queued(device) and not is_queued(tensor.device):
        return tensor.pin_memory().to(device, non_blocking=True)  # torch keeps the pinned copy until it was read
    return tensor.to(device)


def normalized_frames(frames: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """uint8 frames -> [0, 1] on the device."""
    return to_device(frames, device).to(dtype).div_(255)


def round_on_device(chunk: Tensor) -> tuple[Tensor, Tensor]:
    """Round a chunk (B, t, 3, H, W) where it lies, without reading any of its values.

    Returns levels of the same shape, uint8, zeros for clips with wrong values; `frame_statistics` (B, t, 4).
    """
    levels = torch.empty(chunk.shape, dtype=torch.uint8, device=chunk.device)
    together = max(1, ROUNDED_TOGETHER // chunk[0].numel())  # clips
    statistics = []
    for block, rounded in zip(torch.split(chunk, together), torch.split(levels, together), strict=True):
        block_statistics = frame_statistics(block)
        wrong = is_wrong(block_statistics).any(1)
        rounded.copy_(round_levels(block)).masked_fill_(wrong[:, None, None, None, None], 0)
        statistics.append(block_statistics)
    return levels, torch.cat(statistics)


@dataclass(frozen=True, eq=False)
class ArrivingChunk:
    """A chunk on its way to main memory."""

    levels: Tensor | None  # (B, t, 3, H, W) uint8, pinned; None: they arrive where they go
    statistics: Tensor  # (B, t, 4), pinned
    arrived: torch.cuda.Event
    out: Tensor  # where the levels go
    first: int  # number of its first frame

    @property
    def has_arrived(self) -> bool:
        return bool(self.arrived.query())  # type: ignore[no-untyped-call]


class FrameReceiver:
    """Checks chunks and writes their levels to main memory, in order.

    `failures`: by position in the batch, why a clip failed; of chunks on CUDA only after `wait`. `is_checked`: whether
    it holds what all chunks so far say at any moment.
    """

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon  # predicted frames, for messages
        self.failures: dict[int, str] = {}
        self.is_checked = True
        self._arriving: deque[ArrivingChunk] = deque()

    def store(self, chunk: Tensor, out: Tensor, first: int) -> Tensor:
        """Check a chunk and round it to uint8.

        Args:
            chunk: Frames (B, t, 3, H, W), as of `check_chunk`.
            out: Where they are written: uint8 of the same shape on the CPU. Failed clips are filled with zeros. From
                CUDA they are there after `wait`.
            first: Number of the chunk's first frame, from 0.

        Returns the same levels, on the chunk's device.
        """
        if not is_queued(chunk.device):
            self.wait()  # the earliest wrong frame is told
            self._tell(store_chunk(chunk, out, first, self.horizon))
            return out
        self.is_checked = False
        levels, statistics = round_on_device(chunk)
        direct = out.is_contiguous() and out.is_pinned()
        copy = out.copy_(levels, non_blocking=True) if direct else _to_pinned(levels)
        pinned = _to_pinned(statistics)
        self._arriving.append(ArrivingChunk(None if direct else copy, pinned, _queue_end(chunk.device), out, first))
        while self._arriving and self._arriving[0].has_arrived:  # meanwhile the device goes on
            self._take()
        return levels

    def wait(self) -> None:
        """Wait until all chunks have arrived."""
        while self._arriving:
            self._arriving[0].arrived.synchronize()
            self._take()

    def _take(self) -> None:
        """Take the oldest chunk, which has arrived."""
        chunk = self._arriving.popleft()
        if chunk.levels is not None:
            chunk.out.copy_(chunk.levels)
        size = chunk.out[0, 0].numel()
        problems = (value_problem(each, size, chunk.first, self.horizon) for each in chunk.statistics)
        self._tell({position: problem for position, problem in enumerate(problems) if problem})

    def _tell(self, reasons: dict[int, str]) -> None:
        self.failures = {**reasons, **self.failures}


def _to_pinned(tensor: Tensor) -> Tensor:
    """A copy in pinned memory, complete once the device has done what is queued now."""
    return pinned_like(tensor).copy_(tensor, non_blocking=True)


def pinned_like(tensor: Tensor) -> Tensor:
    """Pinned memory for a tensor. Torch keeps what is let go for the next one, as to pin memory takes long."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)


def pin(memory: Tensor, device: torch.device) -> bool:
    """Pin memory that there is already: what a device copies into it is there without another copy.

    It must stay mapped until the process ends, so that this is for a process of the model's own. Returns whether it was
    possible.
    """
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    with torch.cuda.device(device):
        try:
            pinned = int(runtime.cudaHostRegister(memory.data_ptr(), memory.numel(), 0)) == 0
        except RuntimeError:
            pinned = False
        if not pinned:
            with contextlib.suppress(RuntimeError):  # CUDA keeps the error for whoever starts work next: nobody else
                torch.ones(1, device=device).add_(1)
    return pinned


def _queue_end(device: torch.device) -> torch.cuda.Event:
    """The present end of the device's queue. Who waits for it leaves the processor to others."""
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


RANGE_TOLERANCE = 0.49 / 255  # distance outside of [0, 1] that rounding hides


class AnswerError(Exception):
    """An answer that breaks the protocol for every clip, so that trying again would not help."""


def iterate_chunks(answer: Any) -> Iterator[Any]:
    """The chunks of an answer: a whole tensor, or an iterator over tensors. Raises AnswerError for other types."""
    if isinstance(answer, Tensor):
        return iter((answer,))
    if isinstance(answer, Iterator):
        return answer
    kind = type(answer).__name__
    hint = ": return the frames alone" if isinstance(answer, tuple | list | dict) else ""
    raise AnswerError(f"Expected a torch.Tensor or an iterator over tensors, got {kind}{hint}.")


@contextmanager
def ended(stream: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """A stream of chunks that is ended on leaving the block, read to its end or not.

    A generator that waits within `with torch.no_grad():` would else leave that block, and switch gradients off for
    whoever goes on, when it is collected.
    """
    try:
        yield stream
    finally:
        if isinstance(stream, Generator):
            stream.close()


def check_chunk(chunk: Any, batch: int, room: int, size: tuple[int, int], context: int) -> Tensor:
    """Check that a chunk is a dense float tensor (batch, t, 3, height, width) with 1 <= t <= room.

    Args:
        chunk: What the model gave.
        room: Frames still wanted.
        size: (height, width) px.
        context: Number of context frames, for the hint in the message.

    Raises AnswerError: it is not. The message names the likely mistake.
    """
    if not isinstance(chunk, Tensor):
        raise AnswerError(f"Expected a torch.Tensor of frames, got {type(chunk).__name__}.")
    shape, wanted = tuple(chunk.shape), (batch, room, 3, *size)
    fits = len(shape) == 5 and shape[0] == batch and shape[2:] == (3, *size) and 1 <= shape[1] <= room
    if not fits:
        raise AnswerError(f"Expected frames of shape {wanted}, got {shape}{_shape_hint(shape, wanted, context)}.")
    if not chunk.is_floating_point():
        hint = ": divide by 255" if chunk.dtype == torch.uint8 else ""
        raise AnswerError(f"Expected floating-point frames in [0, 1], got {str(chunk.dtype)[6:]}{hint}.")
    if chunk.layout != torch.strided or chunk.is_meta:
        kind = "a meta tensor, which holds no values" if chunk.is_meta else f"the layout {str(chunk.layout)[6:]}"
        raise AnswerError(f"Expected a dense tensor of frames, got {kind}.")
    return chunk


def _shape_hint(shape: tuple[int, ...], wanted: tuple[int, ...], context: int) -> str:
    batch, room, channels, height, width = wanted
    if len(shape) == 5 and shape == (batch, shape[1], height, width, channels):
        return ": the channels belong before height and width"
    if shape == (room, batch, channels, height, width):
        return ": the batch belongs before time"
    if shape == (batch, room + context, channels, height, width):
        return f": leave out the {context} context frames"
    if len(shape) == 5 and shape[3:] == (width, height) and height != width:
        return ": the card's image_size is (height, width)"
    if shape == (room, channels, height, width):
        return ": the batch dimension is missing"
    return ""


def store_chunk(chunk: Tensor, out: Tensor, first: int, horizon: int) -> dict[int, str]:
    """Check the values of a chunk and round them to uint8.

    Args:
        chunk: Frames (B, t, 3, H, W).
        out: Where they are written: uint8 of the same shape on the CPU. Failed clips are filled with zeros.
        first: Number of the chunk's first frame, from 0, for messages.
        horizon: Number of predicted frames, for messages.

    Returns:
        By position in the batch, why a clip failed: NaN, Inf or values outside of [0, 1] by more than rounding hides.
    """
    failures: dict[int, str] = {}
    for position, clip in enumerate(chunk):
        if not _store_clip(clip, out[position]):
            reason = value_problem(frame_statistics(clip.cpu()), clip[0].numel(), first, horizon)
            assert reason is not None, "some value is wrong"
            failures[position] = reason
            out[position].zero_()
    return failures


def _store_clip(clip: Tensor, out: Tensor) -> bool:
    """Round the frames (t, 3, H, W) of one clip into `out`; False, and only a part of them, where values are wrong."""
    # values, which then lie in the processor's cache
    together = max(1, (1 << 17) // clip[0].numel()) if clip.device.type == "cpu" else len(clip)
    for block, rounded in zip(torch.split(clip, together), torch.split(out, together), strict=True):
        low, high = (bound.item() for bound in block.aminmax())  # NaN if any value is NaN
        if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
            return False
        # On a CPU torch converts floats to int16, and that to uint8, three times as fast as floats to uint8.
        rounded.copy_(round_levels(block).to(torch.int16).to(torch.uint8))
    return True


def round_levels(frames: Tensor) -> Tensor:
    """Frames in [0, 1] -> levels 0 to 255 and a half more, so that the conversion to uint8 rounds to the nearest."""
    if frames.dtype in (torch.float16, torch.bfloat16):
        frames = frames.float()
    return torch.add(torch.full((), 0.5, dtype=frames.dtype, device=frames.device), frames, alpha=255)


def frame_statistics(frames: Tensor) -> Tensor:
    """Statistics of frames (..., 3, H, W) that decide whether their values are right.

    Returns:
        (..., 4) float64 on the device of the frames: least and largest value, number of values that are not finite, and
        number of NaN.
    """
    within = (-3, -2, -1)
    counts = (frames.isfinite().logical_not().sum(within), frames.isnan().sum(within))
    statistics = (frames.amin(within), frames.amax(within), *counts)
    return torch.stack([each.to(torch.float64) for each in statistics], -1)


def is_wrong(statistics: Tensor) -> Tensor:
    """True where frames hold NaN, Inf or values outside of [0, 1] by more than rounding hides; (...) of (..., 4)."""
    low, high, not_finite, _ = statistics.unbind(-1)
    return (not_finite > 0) | (low < -RANGE_TOLERANCE) | (high > 1 + RANGE_TOLERANCE)


def value_problem(statistics: Tensor, size: int, first: int, horizon: int) -> str | None:
    """Fault of the values of one clip's chunk, or None.

    Args:
        statistics: Of its frames (t, 4), see `frame_statistics`, on the CPU.
        size: Number of values of a frame.
        first: Number of the chunk's first frame, from 0.
        horizon: Number of predicted frames.
    """
    wrong = is_wrong(statistics)
    if not bool(wrong.any()):
        return None
    not_finite = statistics[:, 2] > 0
    if bool(not_finite.any()):
        frame = int(not_finite.int().argmax())
        count, nans = (int(value) for value in statistics[frame, 2:])
        kind = "NaN" if nans else "Inf"
        return f"Predicted frame {first + frame + 1} of {horizon} holds {kind} ({count} of {size} values)."
    frame = int(wrong.int().argmax())
    low, high = float(statistics[:, 0].min()), float(statistics[:, 1].max())
    if high > 2:
        hint = "divide by 255"
    elif -1.01 <= low < -0.3:
        hint = "map [-1, 1] to [0, 1] with (x + 1) / 2"
    else:
        hint = "clamp them"
    return (
        f"Expected values in [0, 1], got {low:.3g} to {high:.3g} from predicted frame {first + frame + 1} of {horizon} "
        f"on: {hint}."
    )
