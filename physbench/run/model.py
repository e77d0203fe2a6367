"""The model of a run: loaded with the run's settings into a process of its own, and compared with the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from physbench.clips.generate import make_scene
from physbench.clips.suite import PROMPT_MOTION_OPTION
from physbench.models.protocol import Model, ModelCard
from physbench.result.formats import counted
from physbench.rollout.device_group import DeviceGroup
from physbench.rollout.device_names import device_kind, split_devices
from physbench.rollout.engine import RolloutEngine
from physbench.run.manifest import other_settings
from physbench.run.options import Options
from physbench.run.ray_cluster import RayEngine, RayPool
from physbench.run.state import Run, drop_unanswered
from physbench.support.errors import UsageError
from physbench.support.processes import WorkerPool
from physbench.world.scene import HISTORY, PLAIN
from physbench.world.styles.catalogue import check_camera, check_pair, look_hash


@contextmanager
def model_of(run: Run, pool: WorkerPool | None = None) -> Iterator[RolloutEngine | None]:
    """The model in its process, or in those of a pool on a cluster; None where no rollout is missing."""
    if "rollout" not in run.stages or (run.planned and not run.missing() and not run.unanswered):
        yield None
        return
    o = run.options
    run.say(f"Loading {o.model} ...")
    sizes = [event.part_size for event in run.manifest.events if event.part_size]
    if run.model is not None:
        with live_engine(run.model, o, run.salt) as live:
            agree(run, live)
            yield live
        return
    part_size = min(sizes, default=None)
    if isinstance(pool, RayPool):
        arguments = engine_arguments(o, run.salt, part_size=part_size, debug=run.debug)
        started: RolloutEngine = RayEngine(pool, arguments, run.manifest.model)
    else:
        started = engine_of(o, run.salt, part_size=part_size, debug=run.debug)
    with started as engine:
        agree(run, engine)
        if run.unanswered:
            drop_unanswered(run.folder, run.suite.rows, o.samples)
            run.say(f"{counted(run.unanswered, 'rollout')} failed as the server did not answer: made again.")
            run.unanswered = 0
        yield engine


def calls_along_time(card: ModelCard, frames: int) -> int:
    """Calls that a chained model needs for so many frames."""
    return -(-frames // (card.max_horizon or frames))


def live_engine(model: Model, options: Options, salt: str) -> RolloutEngine:
    """The engine for a model that lives in this process."""
    from physbench.rollout.in_process import InProcessEngine

    o = options
    conditioning = {"look": o.look, "view": o.view, "actions": o.actions, "prompts": o.prompts}
    return InProcessEngine(model, chain=o.chain, seed=o.seed, salt=salt, privileged=o.privileged, **conditioning)


def engine_of(
    options: Options, salt: str, *, part_size: int | None = None, debug: bool = False, untrained: bool = False
) -> RolloutEngine:
    """The engine for the settings of a run; other arguments as of `RolloutEngine`."""
    arguments = engine_arguments(options, salt, part_size=part_size, debug=debug, untrained=untrained)
    devices = split_devices(options.device)
    return RolloutEngine(**arguments) if len(devices) == 1 else DeviceGroup(devices, **arguments)


# Settings that reach the engine under their own names.
OF_ENGINE = (
    *("device", "dtype", "autocast", "compile", "trust_code", "privileged"),
    *("timeout", "chain", "seed", "look", "view", "actions", "prompts"),
)


def engine_arguments(
    options: Options, salt: str, *, part_size: int | None = None, debug: bool = False, untrained: bool = False
) -> dict[str, Any]:
    """The arguments of a `RolloutEngine` for the settings of a run."""
    return {
        "target": options.model,
        "model_args": dict(options.model_arg),
        **{name: getattr(options, name) for name in OF_ENGINE},
        "untrained": untrained,
        "salt": salt,
        "part_size": part_size,
        "debug": debug,
    }


def agree(run: Run, engine: RolloutEngine) -> None:
    """Complete the manifest with the model, or see that the model is the one of the stored manifest."""
    info = engine.info
    if not info.card.continues:
        raise UsageError(f"{info.card.name} answers with its surprise at films. Ask it with --suite expectation.")
    check_prompted_model(run.options, info.card)
    run.options.check_board_look(info.card.look)
    check_pair(info.card.look, info.card.view)
    if info.card.look != PLAIN:  # before the first clip, not in the middle of a run
        for task, row in {row.task: row for row in run.suite.rows}.items():
            check_camera(info.card.look, make_scene(row), task)
    model: dict[str, Any] = {
        "name": info.card.name,
        "card": info.card,
        "device": info.device,
        "dtype": info.dtype,
        "reported_sha256": info.reported_sha256 or None,
        "drawn_by": None,
        "settings": dict(info.settings),
    }
    if info.card.look != PLAIN:
        model["drawn_by"] = (run.manifest.clips and run.manifest.clips.drawn_by) or look_hash(info.card.look)
    if run.planned:
        for name, value in model.items():
            before = getattr(run.manifest.model, name)
            if name == "device" and device_kind(str(before)) == device_kind(info.device):
                continue
            if before != value:
                raise other_settings(run.folder.path, _difference(name, before, value))
    for note in (*info.notes, *_words_lost(run.options, info.card), *_repeated(info.card), *_own_prompts(run.options)):
        run.say(note)
        run.note(note)
    if run.planned:
        return
    for name, value in model.items():
        if value or name in ("name", "device", "dtype"):
            setattr(run.manifest.model, name, value)
    run.manifest.render_spec = str(info.card.spec)
    run.manifest.context = info.card.scored_context
    run.manifest.device = f"{info.device} ({info.device_name})"


def check_prompted_model(options: Options, card: ModelCard) -> None:
    """Raise UsageError where words for motion are asked for and the model is shown it."""
    if not options.prompt_motion:
        return
    if not card.sees_pictures:
        raise UsageError(f"{PROMPT_MOTION_OPTION}: {card.name} is given states, velocities among them. Leave it out.")
    if card.scored_context > 1:
        raise UsageError(
            f"{PROMPT_MOTION_OPTION}: {card.name} sees {card.scored_context} frames, which show already how things "
            "move. Leave it out; it is for models with context_frames=1."
        )


def _words_lost(options: Options, card: ModelCard) -> tuple[str, ...]:
    """A note where the words for motion do not reach the model."""
    if not options.prompt_motion or card.uses_prompt or card.track == "privileged":
        return ()
    return (f"{card.name} reads no prompt (uses_prompt of its card), so that the words for motion do not reach it.",)


def _repeated(card: ModelCard) -> tuple[str, ...]:
    """A note where the context reaches further back than the history."""
    if (missing := card.context_frames - card.history_frames) <= 0:
        return ()
    return (
        f"{missing} of the {card.context_frames} context frames lie before the history of {HISTORY:g} s. Where the "
        "motion before it cannot be told they repeat the first one.",
    )


def _own_prompts(options: Options) -> tuple[str, ...]:
    """A note where the sentences of a file are the prompts."""
    return () if options.prompts is None else (f"The prompts are sentences of {options.prompts}, not the tasks' own.",)


def _difference(name: str, before: object, value: object) -> str:
    if name == "drawn_by":
        return "What draws the look (its code, the variant and version of Mitsuba) has changed"
    if name == "reported_sha256":
        return "The model's file (sha256 as the server reports it) has changed"
    return f"The {name} of the model was {before}, now it is {value}"
