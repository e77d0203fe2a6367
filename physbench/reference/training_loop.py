"""The training loop of every architecture: stages in turn, seeded step by step, resumable from the last save.

The random numbers of a step depend on (seed, stage, step) alone, and a stage refreshes its data only when it is saved:
a run that was interrupted ends with the same weights as one that was not, on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from physbench.support.errors import UsageError
from physbench.support.files import atomic_path
from physbench.support.progress import Progress

STATE_FILE = "state.safetensors"
WARM_UP = 30  # steps over which the rate rises


class Episodes(Protocol):
    """The training data: frames and actions as a model is given them, and nothing else."""

    def __len__(self) -> int: ...

    def frames(self, index: int) -> Tensor:
        """Frames (T, 3, H, W) uint8, the context first."""
        ...

    def actions(self, index: int) -> Tensor | None:
        """Actions (T, 6), or None."""
        ...


def _do_nothing() -> None:
    return None


@dataclass
class TrainingStage:
    """A part of the training: some parameters, a loss, a number of steps."""

    name: str
    steps: int
    rate: float
    parameters: Sequence[nn.Parameter]
    loss: Callable[[float, torch.Generator], Tensor]  # (progress 0..1, random numbers of this step)
    prepare: Callable[[], None] = _do_nothing  # before the first step here or after a resume
    begin: Callable[[], None] = _do_nothing  # before step 0 alone
    refresh: Callable[[float, torch.Generator], None] | None = None  # at every save
    every: int = 50  # steps between saves
    describe: Callable[[], str] = str  # what the last step was like beside its loss, a line at every save
    watched: bool = False  # whether what the model answers is worth reading while it goes on
    clipped_together: Sequence[Sequence[nn.Parameter]] = ()  # groups with a gradient norm each; none: all are one
    losses: list[float] = field(default_factory=list)


def generator(*key: object) -> torch.Generator:
    """Random numbers that depend on the key alone."""
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def learning_rate(stage: TrainingStage, step: int, progress: float) -> float:
    """Rises over WARM_UP steps, then falls linearly to zero."""
    return stage.rate * min(1.0, (step + 1) / WARM_UP) * max(0.0, 1.0 - progress)


def run_stages(
    net: nn.Module,
    stages: Sequence[TrainingStage],
    folder: Path,
    key: str,
    seed: int,
    minutes: float | None,
    resume: bool,
    watch: Callable[[str, int, float], tuple[str, bool]] | None = None,
) -> dict[str, float]:
    """Train `net` in place.

    Args:
        net: The network.
        stages: Run one after the other.
        folder: Where the state is saved.
        key: Settings of the training; a saved state with others is refused.
        seed: From which the random numbers of each step are seeded.
        minutes: The whole time, divided among the stages by their steps, as many steps as it takes; None: their steps.
        resume: Whether to continue from the saved state.
        watch: Called with stage, step and seconds of the training at times in a stage that is watched; returns a line,
            and whether the weights of now are kept: the stage ends with those kept last, else with those of its end.

    Returns:
        Seconds of each stage.
    """
    path = folder / STATE_FILE
    done, step, clocks, moments, kept = _read_state(net, path, key) if resume and path.exists() else (0, 0, {}, {}, {})
    total = sum(stage.steps for stage in stages)
    for number, stage in enumerate(stages):
        if number < done:
            continue
        stage.prepare()
        if step == 0:
            stage.begin()
        limit = minutes * 60 * stage.steps / total if minutes else None
        fused = stage.parameters[0].device.type == "cuda"
        optimizer = torch.optim.AdamW(stage.parameters, stage.rate, weight_decay=1e-4, fused=fused)
        if moments:
            _set_moments(optimizer, stage.parameters, moments)
            moments = {}
        started = time.monotonic() - clocks.get(stage.name, 0.0)
        saved = time.monotonic()
        label, total_shown = (stage.name, stage.steps) if limit is None else (f"{stage.name}, seconds", round(limit))
        with Progress(f"train {label}", total_shown) as progress:
            progress.advance(step if limit is None else 0)
            while True:
                spent = time.monotonic() - started
                share = spent / limit if limit else step / stage.steps
                clocks[stage.name] = spent
                saves = (
                    stage.refresh is None and time.monotonic() - saved > 60.0  # s
                )  # data that is refreshed is not saved
                if step % stage.every == 0 or saves:
                    _write_state(net, optimizer, stage.parameters, path, key, number, step, clocks, kept)
                    saved = time.monotonic()
                if step % stage.every == 0:
                    lines = [stage.describe()]
                    if watch is not None and stage.watched and step > 0:
                        began = time.monotonic()
                        line, keeps = watch(stage.name, step, sum(clocks.values()))
                        lines.append(line)
                        kept = _weights(net) if keeps else kept
                        started += time.monotonic() - began  # minutes are those of learning
                    if any(lines):
                        line = "; ".join(filter(None, lines))
                        print(f"{stage.name}, step {step}: {line}", file=sys.stderr, flush=True)
                    if stage.refresh is not None and share < 1:
                        stage.refresh(share, generator(seed, stage.name, "refresh", step))
                if share >= 1:
                    break
                loss = _one_step(stage, optimizer, step, min(share, 1.0), seed)
                step += 1
                if not fused or step % 50 == 0:  # on a GPU: to read a loss is to wait for it
                    stage.losses.append(float(loss))
                passed = 1 if limit is None else round(time.monotonic() - started) - progress.done
                progress.advance(passed, f"loss {stage.losses[-1]:.3f}" if stage.losses else "")
        clocks[stage.name] = time.monotonic() - started
        if watch is not None and stage.watched and step % stage.every:
            line, keeps = watch(stage.name, step, sum(clocks.values()))
            print(f"{stage.name}, step {step}: {line}", file=sys.stderr, flush=True)
            kept = {} if keeps else kept
        if kept:
            net.load_state_dict(kept)
            kept = {}
        _write_state(net, None, (), path, key, number + 1, 0, clocks, {})
        step = 0
    return clocks


def _one_step(stage: TrainingStage, optimizer: torch.optim.Optimizer, step: int, share: float, seed: int) -> Tensor:
    """Returns the loss. A step whose gradient is not finite is left out; on a GPU the host does not wait to know it."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(stage, step, share)
    loss = stage.loss(share, generator(seed, stage.name, step))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norms = [torch.nn.utils.clip_grad_norm_(group, 0.5) for group in stage.clipped_together or [stage.parameters]]
    norm = torch.stack([each.to(loss.device) for each in norms]).max()  # without gradients it is on the CPU
    if norm.device.type == "cuda":
        optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]  # as of torch.amp.GradScaler
        optimizer.step()
    elif bool(torch.isfinite(norm)):
        optimizer.step()
    return loss.detach()


def _write_state(
    net: nn.Module, optimizer: torch.optim.Optimizer | None, parameters: Sequence[nn.Parameter], path: Path, key: str,
    stage: int, step: int, clocks: dict[str, float], kept: Mapping[str, Tensor],
) -> None:  # fmt: skip
    from safetensors.torch import save_file

    tensors = {f"net.{name}": value for name, value in _weights(net).items()}
    tensors |= {f"kept.{name}": value for name, value in kept.items()}
    if optimizer is not None:
        for i, parameter in enumerate(parameters):
            for name, value in optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{i}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    head = {"key": key, "stage": stage, "step": step, "clocks": clocks}
    with atomic_path(path) as draft:
        save_file(tensors, str(draft), metadata={"physbench-training": json.dumps(head)})
        draft.chmod(0o644)  # the library writes files that nobody else can read


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights in the memory of the CPU."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in net.state_dict().items()}


def saved_setting(folder: Path, name: str) -> Any:
    """A setting of the training in a folder; None where there is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(folder / STATE_FILE), "pt") as file:
            return json.loads(json.loads(file.metadata()["physbench-training"])["key"]).get(name)
    except (SafetensorError, OSError, KeyError, TypeError, AttributeError, ValueError):  # `check_state` says so
        return None


def check_state(folder: Path, key: str) -> None:
    """Raise UsageError where a folder holds a training that cannot be continued with these settings."""
    if (folder / STATE_FILE).exists():
        _open_state(folder / STATE_FILE, key)


def _read_state(
    net: nn.Module, path: Path, key: str
) -> tuple[int, int, dict[str, float], dict[str, Tensor], dict[str, Tensor]]:
    head, tensors = _open_state(path, key)

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    net.load_state_dict(part("net."))
    return head["stage"], head["step"], head["clocks"], part("adam."), part("kept.")


def _open_state(path: Path, key: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            notes = file.metadata() or {}
            if "physbench-training" not in notes:
                raise UsageError(
                    f"{path} is not the state of a training. Remove it, or name another folder with --out."
                )
            head: dict[str, Any] = json.loads(notes["physbench-training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        before, now = json.loads(head["key"]), json.loads(key)
        others = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Remove it, or name another folder with --out.") from None
    if others:
        if "architecture" in others:
            others = ["architecture"]  # all else follows from it
        changed = ", ".join(
            f"{name} {before.get(name)} (now {now.get(name)})" for name in sorted(others) if name != "config"
        )
        changed = changed or "its configuration"
        raise UsageError(
            f"{path.parent} holds a training with other settings: {changed}.\n"
            "Give the same settings again, or name another folder with --out."
        )
    return head, tensors


def _set_moments(
    optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], moments: dict[str, Tensor]
) -> None:
    for i, parameter in enumerate(parameters):
        own = {name.split(".", 1)[1]: value for name, value in moments.items() if name.split(".", 1)[0] == str(i)}
        if own:
            fused = parameter.device.type == "cuda"  # which wants the steps there, too, and the layout of the weights
            optimizer.state[parameter] = {
                name: (value.to(parameter.device) if fused else value)
                if name == "step"
                else torch.empty_like(parameter).copy_(value)
                for name, value in own.items()
            }


def check_weights(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError that names what of a checkpoint does not fit a network, which may be one without memory."""
    from physbench.models.safetensors_files import compare_tensors

    own = net.state_dict()
    compare_tensors({k: tuple(v.shape) for k, v in own.items()}, {k: tuple(v.shape) for k, v in tensors.items()})


def load_weights(net: nn.Module, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
    """Load the tensors of a checkpoint into a network that they fit."""
    net.load_state_dict(dict(tensors))
    net.to(device=device, dtype=dtype).requires_grad_(False)


def parameters_device(net: nn.Module) -> torch.device:
    """The device of a network."""
    return next(net.parameters()).device
