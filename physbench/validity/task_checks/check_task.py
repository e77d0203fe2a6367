"""All checks of one task, in the order in which they depend on each other, and of many tasks in processes."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import math
import os
import subprocess
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import LEVELS, SPLITS, NothingAccepted, Parameter, Task, find_task, parameter_table
from physbench.support.errors import LawError, PhysbenchError, nearest
from physbench.support.plugins import describe_error_in_file
from physbench.support.progress import Progress
from physbench.validity.task_checks.finding import AxisReading, Finding, Report, Shot, failed, fine, remark, save
from physbench.world.camera import normal
from physbench.world.drawing import apparent_radius
from physbench.world.links import ARM, depth_in, guides
from physbench.world.scene import (
    DENSITY,
    PALETTE,
    PLAIN,
    WINDOW,
    Body,
    Hinge,
    RenderSpec,
    Rod,
    Scene,
    Slider,
    String,
    mass_of_size,
)

if TYPE_CHECKING:
    from physbench.validity.task_checks.task_readings import Measured

# The declaration of a task: docstring, parameters, and the bodies of its scenes.

SECTIONS = ("What happens", "Law", "Camera", "Actions", "Hand-over", "May be hidden", "Version history")


@dataclass(frozen=True)
class SceneLimits:
    """Limits on the scene of a task."""

    min_body_radius: float = 0.4 / WINDOW  # of the window's width: 5 px in a frame of 64 px
    max_horizon: float = 12.0  # s
    loose: float = 0.005  # m between the length of a rod or string and the way of its bodies, or a body and its slider


SCENE = SceneLimits()


def check_declaration(task: Task) -> Iterator[Finding]:
    """Docstring, and the classes and ranges of the parameters."""
    findings = [*_docstring(task), *_parameters(task)]
    yield from findings
    if not any(finding.state == "failed" for finding in findings):
        changed = [name for name, parameter in task.parameters.items() if parameter.ood is not None]
        yield fine("declaration", f"{len(task.parameters)} parameters, ood changes {', '.join(changed)}")


def declares_parameters(task: Task) -> bool:
    """True if the parameters are a table from which clips can be drawn."""
    return bool(task.parameters) and all(isinstance(each, Parameter) for each in task.parameters.values())


def _docstring(task: Task) -> Iterator[Finding]:
    doc = inspect.getdoc(type(task)) or ""
    missing = [section for section in SECTIONS if f"{section}: " not in doc]
    if missing:
        yield failed(
            "declaration",
            f"the docstring of the class does not say: {', '.join(missing)}",
            f"Write a line for each, as in '{missing[0]}: ...': it is the specification of the task.",
        )
    table = [line for line in doc.splitlines() if line.startswith("|")]
    if table and table != parameter_table(task.parameters):
        yield failed(
            "declaration",
            "the table of parameters in the docstring is not that of the declaration",
            "Derive the class from physbench.Task and put `{parameters}` in its place, or leave the table out.",
        )


def _parameters(task: Task) -> Iterator[Finding]:
    if not declares_parameters(task):
        yield failed("declaration", "`parameters` is not a table of Parameter", "Write parameters = declare(...).")
        return
    if (evenly := getattr(task, "evenly", None)) is not None and evenly not in task.parameters:
        yield failed(
            "declaration",
            f"`evenly` names {evenly!r}, which is no parameter.{nearest(str(evenly), task.parameters)}",
            "Name the parameter each of whose values is to be as frequent, or leave it out.",
        )
    for kind, level in getattr(task, "levels", {}).items():
        if kind not in LEVELS:
            yield failed("declaration", f"`levels` has no kind {kind!r}", f"Its kinds are {' and '.join(LEVELS)}.")
        elif isinstance(level, str) and level not in task.parameters:
            yield failed(
                "declaration",
                f"`levels` names {level!r}, which is no parameter.{nearest(level, task.parameters)}",
                "Name a parameter, or give a function of the parameters.",
            )
    for name, p in task.parameters.items():
        if p.kind not in ("fixed", "visible", "revealed", "free"):
            yield failed("declaration", f"{name}: there is no class '{p.kind}'", "Use fixed, visible or revealed.")
        elif p.kind == "free":
            yield failed(
                "declaration",
                f"{name} is free: a viewer cannot know it, so what follows from it cannot be predicted",
                "Fix it, or let it be seen in size, grey or hue (visible) or in an event before 0 (revealed).",
            )
        elif p.kind == "fixed" and (p.train[0] != p.train[1] or p.ood is not None):
            yield failed(
                "declaration", f"{name} is fixed and has more than one value", "Use Parameter.fixed(value, unit, doc)."
            )
        if p.train[0] > p.train[1] or (p.ood and p.ood[0] > p.ood[1]):
            yield failed("declaration", f"{name}: its range ends before it begins", "Write (lowest, highest).")
        elif p.ood and p.train[0] < p.ood[1] and p.ood[0] < p.train[1]:
            yield failed(
                "declaration",
                f"{name}: the ood range {p.span('ood')} overlaps that of train, {p.span('train')}",
                "Out of distribution means outside: move the ranges apart.",
            )
    if all(parameter.ood is None for parameter in task.parameters.values()):
        yield failed(
            "declaration",
            "no parameter has another range in the split ood",
            "Give a visible or revealed one a second range, as in ood=(0.55, 0.65).",
        )


def check_scene(scene: Scene) -> Iterator[Finding]:
    """Bodies, hues, prompt and horizon of one scene."""
    names = [body.name for body in scene.bodies]
    hues = [body.hue for body in scene.bodies if body.hue is not None]
    moving = [body for body in scene.bodies if body.role == "moving"]
    if len(set(names)) < len(names):
        yield failed("scene", "two bodies have one name", "Give each its own.")
    if not moving:
        yield failed("scene", "no body moves: there is nothing to predict", "Give one the role 'moving'.")
    for body in scene.bodies:
        if not is_finite(body):
            yield failed("scene", f"{body.name} has numbers that are not finite", "Look for a division by zero.")
    for body in moving:
        yield from _moving(body, scene)
    for rod in (each for each in scene.fields if isinstance(each, Rod | String)):
        places = [scene.bodies[scene.index(name)].position for name in rod.sources]
        apart, kind = sum(math.dist(*pair) for pair in pairwise(places)), type(rod).__name__.lower()
        slack = math.inf if isinstance(rod, String) else SCENE.loose
        if not -slack <= apart - rod.length <= SCENE.loose:
            yield failed(
                "scene",
                f"the {kind} from {rod.anchor} to {rod.body} is {rod.length:.3f} m long, not {apart:.3f} m",
                f"Place the body at the length of its {kind}: it would be pulled there at once."
                if isinstance(rod, Rod)
                else "Place the body no further away than its string is long: no string is longer than it is.",
            )
    for joint in scene.guides:
        yield from _guided(joint, scene)
    if len(set(hues)) < len(hues) or not all(0 <= hue < len(PALETTE) for hue in hues):
        yield failed(
            "scene",
            f"the hues {hues} are not different indices from 0 to {len(PALETTE) - 1}",
            "Objects are told apart by hue: refuse equal ones in `accepts`.",
        )
    if not scene.prompt.strip().endswith("."):
        yield failed("scene", "the prompt is not a sentence", "Say what happens in one or two, with a full stop.")
    if not 1 <= scene.horizon <= SCENE.max_horizon:
        yield failed("scene", f"the horizon is {scene.horizon:g} s", f"Use 4 s (from 1 to {SCENE.max_horizon:g} s).")
    if scene.camera.width != WINDOW:
        yield remark("scene", f"the camera shows {scene.camera.width:g} m; the built-in tasks show {WINDOW:g} m")
    try:
        hash(scene)
    except TypeError:
        yield failed("scene", "the scene holds lists or arrays", "Use tuples of numbers: a scene is frozen data.")


def is_finite(body: Body) -> bool:
    """True if a body can be simulated: without a number that is not finite."""
    return bool(np.isfinite((*body.size, *body.position, *body.orientation, *body.velocity, *body.spin)).all())


def _moving(body: Body, scene: Scene) -> Iterator[Finding]:
    guided = body.name in [joint.body for joint in scene.guides]
    if body.hue is None:
        if not (guided and scene.outcomes):
            yield failed(
                "scene",
                f"{body.name} moves and has no hue",
                "Give it one: trackers follow hues. What a hinge or slider holds needs none where `outcomes` of others "
                "are asked.",
            )
        return
    if body.shape == "plane":
        yield failed("scene", f"{body.name} is a plane and moves", "Use a box.")
        return
    radius, width = apparent_radius(body, scene.camera), scene.camera.width
    if radius < SCENE.min_body_radius * width - 1e-9:
        size = "the area of a disc of" if body.bore else "a radius of"
        yield failed(
            "scene",
            f"{body.name} has {size} {radius:.2f} m, {radius / width * 64:.1f} px at 64 px",
            f"Make it at least {SCENE.min_body_radius * width:.3g} m (5 px): smaller ones are not located well.",
        )
    expected = mass_of_size(body)
    if abs(body.mass / expected - 1) > 0.01:
        yield failed(
            "scene",
            f"{body.name} has {body.mass:.4g} kg, but its size says {expected:.4g} kg",
            f"A viewer knows the mass by the size, {DENSITY:g} kg/m3: leave `mass` out.",
        )
    spin, speed = np.linalg.norm(body.spin), np.linalg.norm(body.velocity)
    if not guided and spin > 1e-9 and abs(spin * body.size[0] - speed) > 0.01 * speed:
        yield failed(
            "scene", f"{body.name} spins unseen", "Let it start without spin, or rolling: spin = speed / radius."
        )


def _guided(joint: Hinge | Slider, scene: Scene) -> Iterator[Finding]:
    """A body begins on its joint, and moves as that lets it."""
    index = scene.index(joint.body)
    body, guide = scene.bodies[index], guides(scene)[index]
    declared = np.array([*body.position, *body.orientation, *body.velocity, *body.spin])
    if isinstance(joint, Hinge):
        if not body.turns:
            yield failed("scene", f"{body.name} hangs on a hinge and does not turn", "Leave out turns=False.")
        if (depth := depth_in(body, joint.point, scene.camera)) <= 0:
            where = "on its edge" if depth > -SCENE.loose else f"{-depth:.2f} m beside it"
            yield failed(
                "scene",
                f"the hinge of {body.name} is {where}",
                "Place its point, in the scene's coordinates as positions are, in the outline of the body: no picture "
                "shows what would hold it otherwise.",
            )
        elif body.hue is not None and float(np.linalg.norm(guide.arm)) < ARM:
            yield remark(
                "scene",
                f"{body.name} turns in place: no reading sees how far, only what it hits is judged",
                "A hinge beside its middle makes its turning count: its place is tracked, its angle is not.",
            )
    else:
        if abs(guide.axis @ normal(scene.camera)) > 1e-6:
            yield failed(
                "scene",
                f"the slider of {body.name} leads out of the plane of motion",
                "Place both of its ends in that plane: the camera looks across it.",
            )
        away = body.position - np.asarray(joint.begin)
        beside = float(np.linalg.norm(away - away @ guide.axis * guide.axis))
        if not beside <= SCENE.loose:
            yield failed(
                "scene", f"{body.name} begins {beside:.3f} m beside its slider", "Place its middle on the line."
            )
    apart = float(np.abs(guide.states(*guide.coordinates(declared)) - declared)[7:].max())
    if not apart <= 0.005:  # m/s, rad/s
        yield failed(
            "scene",
            f"{body.name} begins with a motion that its {type(joint).__name__} does not let it have",
            "On a slider give it a velocity along the line and no spin; on a hinge a spin about it, and the velocity "
            "that its middle has then, the cross product of the spin and the way from the hinge to it.",
        )


# Whether a clip is the same in another process.
#
# `python -m physbench.validity.task_checks.check_task SIZE FPS TASK:SPLIT:SEED ...` prints fingerprints of clips.

REMEDIES = {
    "parameters": "sample() draws other parameters: use the generator that it is given and nothing else that varies "
    "(random, time, the order of a set, the hash of a text, a file).",
    "scene": "scene() describes another scene for the same parameters: it must follow from them alone.",
    "states": "The same scene is simulated differently. Report this: the task cannot cause it.",
    "frames": "The same states are drawn differently. Report this: the task cannot cause it.",
}


def fingerprint(row: Row, spec: RenderSpec, clip: Clip | None = None) -> dict[str, str]:
    """Hashes of parameters, scene, states and frames of a clip, and its frame at the hand-over to be shown."""
    shown_clip = make_clip(row, spec) if clip is None else clip
    frames = hashlib.sha256(np.ascontiguousarray(shown_clip.frames).data).hexdigest()
    parameters = hashlib.sha256(repr(dict(make_params(row))).encode()).hexdigest()
    scene = hashlib.sha256(repr(shown_clip.scene).encode()).hexdigest()
    now = shown_clip.frames[shown_clip.handover]
    shown = base64.b64encode(zlib.compress(np.ascontiguousarray(now).data)).decode()
    return {"parameters": parameters, "scene": scene, "states": shown_clip.state_hash, "frames": frames, "shown": shown}


class FreshProcess:
    """A fresh process, with another order of sets, that makes clips again in the background."""

    def __init__(self, rows: Sequence[Row], spec: RenderSpec) -> None:
        self.rows, self.spec = rows, spec
        names = [f"{row.task}:{row.split}:{row.seed}" for row in rows]
        seed = "1" if os.environ.get("PYTHONHASHSEED", "") != "1" else "2"
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "physbench.validity.task_checks.check_task",
                str(spec.height),
                f"{spec.fps:g}",
                *names,
            ],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def findings(self, clips: Sequence[Clip]) -> Iterator[Finding]:
        """Compare the clips made here with those made there."""
        out, err = self._process.communicate()
        if self._process.returncode:
            last = (err.strip().splitlines() or ["no message"])[-1]
            yield failed("determinism", f"a fresh process cannot make the clips: {last}", "See what differs there.")
            return
        fingerprint_parts = tuple(REMEDIES)
        for row, clip, there in zip(self.rows, clips, json.loads(out), strict=True):
            if make_scene(row) != clip.scene:
                part = "parameters" if make_params(row) != make_params(row) else "scene"
            else:
                here = fingerprint(row, self.spec, clip)
                part = next((name for name in fingerprint_parts if here[name] != there[name]), "")
            if part:
                now = clip.frames[clip.handover]
                other = np.frombuffer(zlib.decompress(base64.b64decode(there["shown"])), np.uint8).reshape(now.shape)
                shot = Shot(clip, (0.0, 0.0), None, (now, other), ("once", "once again"))
                yield failed("determinism", f"made twice, a clip differs in its {part}", REMEDIES[part], clip, shot)
                return
        yield fine("determinism", f"{len(clips)} clips are the same in a fresh process, states and frames")

    def close(self) -> None:
        """End the process if it is still there."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def main(arguments: Sequence[str]) -> None:
    """SIZE FPS and rows: print their fingerprints as JSON."""
    spec = render_spec(int(arguments[0]), float(arguments[1]))
    rows = [name.split(":") for name in arguments[2:]]
    print(json.dumps([fingerprint(Row(task, split, int(seed)), spec) for task, split, seed in rows]))  # type: ignore[arg-type]


# The splits: parameters in their ranges, ood outside them, and no clip in two of them.

SEEDS = range(500, 530)


def check_splits(task: Task) -> Iterator[Finding]:
    """Draw clips of every split, without simulating them."""
    drawn: dict[tuple[float, ...], str] = {}
    started = time.perf_counter()
    findings: list[Finding] = []
    for split in SPLITS:
        for seed in SEEDS:
            params = make_params(Row(task.id, split, seed))
            if list(params) != list(task.parameters):
                yield failed(
                    "splits",
                    f"sample() gives {', '.join(params)}, declared are {', '.join(task.parameters)}",
                    "Derive the class from physbench.Task, or return draw(self.parameters, rng, split, self.accepts).",
                )
                return
            for name, parameter in task.parameters.items():
                if not parameter.contains(params[name], split):
                    findings.append(
                        failed(
                            "splits",
                            f"{name} = {params[name]:g} in {split}, whose range is {parameter.span(split)}",
                            "Draw with draw(self.parameters, ...), and change no value afterwards.",
                        )
                    )
            key = tuple(params.values())
            if key in drawn:
                findings.append(
                    failed(
                        "splits",
                        f"{split} {seed} and {drawn[key]} have the same parameters",
                        "Use the generator that sample() is given, and more than one parameter that varies.",
                    )
                )
            drawn[key] = f"{split} {seed}"
    seconds = (time.perf_counter() - started) / len(SEEDS) / len(SPLITS)
    if findings:
        yield findings[0]
        return
    yield fine("splits", f"{len(drawn)} draws, all different and in the ranges of their splits")
    if seconds > 0.2:  # s to draw one clip
        yield remark("splits", f"a draw takes {seconds:.2f} s", "Let `accepts` allow more, or narrow the ranges.")


SPEC = RenderSpec(64, 64, 15.0)
CHECK_CONTEXT = 8  # frames
TEST_CLIPS = 6  # of test; a third as many of ood, and one of train


@dataclass(frozen=True)
class ReadingCost:
    """Time to read a clip, for an estimate before any is read; on a loaded machine it takes longer."""

    futures: float = 2.0  # times that it takes to make the clip: some futures are simulated
    tracking: float = 0.1  # s
    last_resort: float = 5.0  # s, besides, where a law of last resort seeks where a wrong rollout breaks
    first: float = 2.0  # s, besides, of the first one: libraries are imported and compiled code is read


COST = ReadingCost()


@dataclass
class _Work:
    """A task and the findings so far."""

    task: Task
    file: Path
    look: str = PLAIN  # another one is checked besides
    findings: list[Finding] = field(default_factory=list)
    axes: dict[str, AxisReading] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.process_time)
    unit: float = 0.1  # s of processor time of a step of progress: that which it takes to make a clip
    reading: int = 1  # steps that it takes to read a clip

    @property
    def refused(self) -> bool:
        return any(finding.state == "failed" for finding in self.findings)

    def add(self, findings: Iterable[Finding]) -> None:
        self.findings += findings

    def add_once(self, findings: Iterable[Finding]) -> None:
        """Add one finding per check, of many clips: the first failure, or else the one with the largest value.

        Of scenes one per remedy: they say different things.
        """
        best: dict[tuple[str, str], Finding] = {}
        for finding in findings:
            key = finding.check, finding.remedy if finding.check == "scene" else ""
            old = best.get(key)
            better = finding.size > old.size if old and old.state == finding.state else finding.state == "failed"
            if old is None or better:
                best[key] = finding
        self.findings += best.values()

    def tell(self, progress: Progress, left: int) -> None:
        """Set progress by the time that has passed, in steps of `unit`, and those that are left."""
        so_far = max(progress.done + 1, round((time.process_time() - self.began) / self.unit))
        progress.total = so_far + left
        progress.advance(so_far - progress.done)


def check_task(name: str, clips: int = TEST_CLIPS, pictures: Path | None = None, look: str = PLAIN) -> Report:
    """Check a task by id, short name or FILE.py:Class. `clips` of test are measured, and a third as many of ood.

    In a look other than the plain one a clip of test and one of ood are drawn and tracked besides. PNGs of what failed
    are written into the folder `pictures`. Raises UsageError where there is no such task, or the look cannot be drawn;
    whatever the task itself does wrong is in the report.
    """
    task = find_task(name)
    source = inspect.getsourcefile(type(task)) or "?"
    work = _Work(task, Path(source), look)
    rows = rows_of(task.id, clips)
    # Beside these, each simulation and each reading: scenes, a fresh process, states and frames
    with Progress(f"checking {task.id}", len(rows) + reads_of(rows, look) + 3) as progress:
        _stages(work, rows, progress)
    findings = tuple(_drawn(finding, pictures) for finding in work.findings)
    return Report(task.id, source, Counter(row.split for row in rows), findings, work.axes, work.seconds)


def rows_of(task_id: str, clips: int) -> tuple[Row, ...]:
    """The clips that are checked: of test, of ood, one of train."""
    counts: tuple[tuple[Split, int], ...] = (("test", clips), ("ood", max(1, clips // 3)), ("train", 1))
    # apart from those of any suite
    return tuple(Row(task_id, split, 900 + k) for split, count in counts for k in range(count))


# Checks of a scene: to track and score one that they refuse takes minutes and says nothing.
SCENE_CHECKS = ("scene", "overlap", "explosion", "energy", "view")


def reads_of(rows: Sequence[Row], look: str) -> int:
    """Clips that are read: all but those of train, and two in another look."""
    return sum(row.split != "train" for row in rows) + (0 if look == PLAIN else 2)


def reading_steps(clip: Clip, seconds: float) -> int:
    """Times that it takes to read a clip over that which it takes to make one, `seconds`; an estimate."""
    from physbench.shadowing.shadow import scene_law_of

    try:
        law = scene_law_of(clip)
    except LawError:  # which is told in its place
        law = None
    search = COST.last_resort if law is not None and law.last_resort else 0.0
    return max(1, round(COST.futures + (COST.tracking + search) / max(seconds, 1e-3)))


def _stages(work: _Work, rows: Sequence[Row], progress: Progress) -> None:
    """Run every group of checks that can be run, whatever others have found."""
    from physbench.validity.task_checks.law import check_law

    task, static = work.task, bool(getattr(work.task, "static_history", False))
    progress.advance(0, "declaration and splits")
    _run_check(work, "declaration", lambda: check_declaration(task))
    if not declares_parameters(task) or not _run_check(work, "splits", lambda: check_splits(task)):
        return
    progress.advance(0, "scenes")
    if not _run_check(work, "scene", lambda: (f for row in rows for f in check_scene(make_scene(row))), once=True):
        return
    progress.advance(1, "simulation")
    if not all(is_finite(body) for row in rows for body in make_scene(row).bodies):
        return
    repeated = {"test": rows[0], "ood": next(row for row in rows if row.split == "ood")}
    fresh_process = FreshProcess(tuple(repeated.values()), SPEC)
    try:
        clips_by_row: dict[Row, Clip] = {}
        started = last_at = time.process_time()
        for row in rows:
            try:
                clips_by_row[row] = make_clip(row, SPEC)
            except Exception as error:
                work.add([failed("simulation", f"{row.id}: {_words(error, work.file)}", "Mend the scene.")])
                return
            now, made = time.process_time(), len(clips_by_row)
            work.seconds["clip"], work.unit = (now - started) / made, max(now - last_at, 1e-3)
            last_at = now
            work.reading = reading_steps(clips_by_row[row], work.unit)
            reads = work.reading * reads_of(rows, work.look) + round(COST.first / work.unit)
            work.tell(progress, len(rows) - made + reads + 2)
        progress.advance(0, "the same clips in a fresh process")
        work.add(fresh_process.findings([clips_by_row[row] for row in repeated.values()]))
    finally:
        fresh_process.close()
    clips = list(clips_by_row.values())
    progress.advance(1, "states and frames")
    _run_group(work, "states", lambda: _check_states(work, clips, static))
    progress.advance(1, "readings")
    shown = [clip for clip in clips if clip.row.split != "train"]
    if any(each.state == "failed" and each.check in SCENE_CHECKS for each in work.findings):
        work.add([remark("readings", "not asked: the scene was refused", "Mend first what failed.")])
    else:
        _run_group(work, "law", lambda: work.add(check_law(shown)))
        if any(each.state == "failed" and each.check == "law" for each in work.findings):
            why = "not scored, nor is ground truth held against the law: all readings lean on it"
            work.add([remark("readings", why, "Mend the law first.")])
        else:
            _run_group(work, "readings", lambda: _check_readings(work, shown, progress))
    if work.look != PLAIN:
        progress.advance(0, f"pictures in the look {work.look}")
        _run_group(work, work.look, lambda: _check_look(work, list(repeated.values()), progress))


def _run_group(work: _Work, group: str, run: Callable[[], None]) -> None:
    """Run a group of checks; what a refused task breaks in it is noted."""
    try:
        run()
    except LawError as error:
        work.add([failed("law", str(error), "Mend that line; the checks after it did not run.")])
    except Exception as error:
        if not work.refused:
            raise
        work.add([remark(group, f"not checked to the end: {_words(error, work.file)}", "Mend first what failed.")])


def _check_states(work: _Work, clips: Sequence[Clip], static: bool) -> None:
    """Checks of states and frames, without tracking or scoring."""
    from physbench.validity.task_checks.clip_protocol import (
        check_causes,
        check_event,
        check_hidden,
        check_history,
        check_links,
        check_seen,
        check_view,
        events,
    )
    from physbench.validity.task_checks.physics import check_energy, check_overlap, check_sane

    sound = list(clips)  # in the others nothing moves as it was meant to
    for check in (check_overlap, check_sane, check_energy):  # one follows from the other
        found = [list(check(clip)) for clip in clips]
        work.add_once(f for each in found for f in each)
        wrong = [any(finding.state == "failed" for finding in each) for each in found]
        if any(wrong):
            if check is not check_energy:
                sound = [clip for clip, bad in zip(clips, wrong, strict=True) if not bad]
            break
    before = len(work.findings)
    work.add_once(f for clip in sound for f in (*check_history(clip, static), *check_view(clip)))
    work.add_once(f for clip in sound for f in check_event(clip, static))
    if not sound:
        why = "history, view and deciding event are not checked: they follow from what failed"
        work.add([remark("protocol", why, "Mend first what failed.")])
    elif len(work.findings) == before:
        seen = sorted({kind for clip in sound for kind in events(clip)})
        work.add([fine("protocol", f"history, view and deciding event are in order ({', '.join(seen) or 'at rest'})")])
    work.add_once(f for clip in sound for f in (*check_causes(clip), *check_seen(clip)))
    work.add_once(f for clip in clips for f in (*check_links(clip), *check_hidden(clip, PLAIN)))


def _check_look(work: _Work, rows: Sequence[Row], progress: Progress) -> None:
    """Checks of pictures in another look: hidden bodies are not betrayed, and the others are found."""
    from physbench.validity.task_checks.clip_protocol import check_hidden
    from physbench.validity.task_checks.task_readings import check_tracks

    look_side = 128  # px of pictures in another look
    clips = [make_clip(row, RenderSpec(look_side, look_side, SPEC.fps, work.look)) for row in rows]
    hidden = [finding for clip in clips for finding in check_hidden(clip, work.look)]
    tracked = check_tracks(list(_measured(work, clips, progress)))
    work.add_once(replace(each, check=f"{each.check}, {work.look}") for each in (*hidden, *tracked))


def _check_readings(work: _Work, clips: Sequence[Clip], progress: Progress) -> None:
    """Checks that track and score, and that simulate with a smaller step."""
    from physbench.validity.task_checks import task_readings as m
    from physbench.validity.task_checks.physics import check_shadowing, check_step

    measured = list(_measured(work, clips, progress))
    work.add_once(f for one in (measured[0], measured[-1]) for f in check_step(one.clip, one.known))
    work.add_once(m.check_tracks(measured))
    work.add(m.check_known(measured))
    work.add(check_shadowing(clips, CHECK_CONTEXT))
    work.axes = m.axis_readings(measured)
    work.add(m.check_axes(measured, work.axes, bool(getattr(work.task, "straight_motion", False))))
    work.seconds["score"] = sum(one.seconds for one in measured) / len(measured)
    work.add(m.check_cost(work.seconds))


def _measured(work: _Work, clips: Sequence[Clip], progress: Progress) -> Iterator[Measured]:
    """Ground truth and baselines on clips of one size, tracked and read by the headline scorers."""
    from physbench.models.protocol import ModelCard
    from physbench.score.score_clip import find_scorers
    from physbench.validity.task_checks.task_readings import measure

    spec = clips[0].spec
    card = ModelCard("check", (spec.height, spec.width), spec.fps, CHECK_CONTEXT)
    scorers = tuple(each for each in find_scorers() if each.headline)
    after = 0 if work.look in (PLAIN, spec.look) else 2  # readings in another look
    for number, clip in enumerate(clips):
        begun = time.process_time()
        one = measure(clip, card, scorers)
        if number:  # the first one tells nothing of the others, see `ReadingCost`
            work.reading = max(1, round((time.process_time() - begun) / work.unit))
        work.tell(progress, work.reading * (len(clips) - number - 1 + after))
        yield one


def _run_check(work: _Work, check: str, run: Callable[[], Iterable[Finding]], once: bool = False) -> bool:
    """Run a check of the task's own code; False where that code raises, which becomes a finding."""
    try:
        findings = list(run())
    except NothingAccepted as error:
        work.add([failed(check, str(error).removesuffix(f" {error.remedy}"), error.remedy)])
        return False
    except PhysbenchError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        if not any(Path(frame.filename).resolve() == work.file.resolve() for frame in frames):
            raise
        work.add([failed(check, _words(error, work.file), "Mend that line.")])
        return False
    (work.add_once if once else work.add)(findings)
    return True


def _words(error: Exception, file: Path) -> str:
    return str(error) if isinstance(error, PhysbenchError) else describe_error_in_file(error, file)


def _drawn(finding: Finding, pictures: Path | None) -> Finding:
    """Write the picture of a failure and drop the clip that it shows."""
    if finding.shot is None or pictures is None:
        return replace(finding, shot=None)
    name = f"{finding.clip or 'task'}-{finding.check.replace(' ', '-')}.png"
    save(finding, pictures / name)
    return replace(finding, shot=None, picture=str(pictures / name))


def check_all(
    names: Sequence[str], clips: int, pictures: Path | None, workers: int, look: str = PLAIN
) -> Iterator[Report]:
    """Check tasks in processes, in order."""
    from physbench.run.jobs import SCORING_PRELOAD
    from physbench.support.processes import scheduled

    check = partial(_one, clips, pictures, look)
    with scheduled(check, names, workers=workers, preload=SCORING_PRELOAD, long=True) as reports:
        yield from reports


def _one(clips: int, pictures: Path | None, look: str, name: str) -> Report:
    import torch

    torch.set_num_threads(1)
    return check_task(name, clips, pictures, look)


if __name__ == "__main__":
    main(sys.argv[1:])
