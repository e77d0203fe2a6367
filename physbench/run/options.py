"""Settings of a run: each declared once, with its check, and the command line that asks for them again.

`physbench eval --help` reads this file: what costs time to import is imported where it is used.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from physbench.rollout.device_names import split_devices
from physbench.support.errors import UsageError, nearest

# How long a run with `--budget` may go on beginning rollouts.

_FORM = re.compile(
    r"(?:(?P<h>\d{1,6}(?:\.\d+)?)h)?(?:(?P<m>\d{1,6}(?:\.\d+)?)m)?(?:(?P<s>\d{1,6}(?:\.\d+)?)s)?", re.ASCII
)


def parse_budget(text: str) -> float:
    """Seconds of a time such as "2h", "30m", "90s" or "1h30m".

    >>> parse_budget("1h30m")
    5400.0

    Raises UsageError: it is none, or not above 0, or longer than 1,000 hours.
    """
    match = _FORM.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise UsageError(f"--budget: expected a time such as 90s, 30m, 2h or 1h30m, got '{text}'.")
    unit_seconds = {"h": 3600.0, "m": 60.0, "s": 1.0}
    seconds = sum(float(match[unit] or 0) * size for unit, size in unit_seconds.items())
    if not 0 < seconds <= 1000 * unit_seconds["h"]:
        raise UsageError(f"--budget: expected more than nothing and at most 1000h, got '{text}'.")
    return seconds


def is_spent(budget: str | None, started: float) -> bool:
    """True if the time budget of a run that started then (`time.monotonic`) is spent; None: it has no limit."""
    return budget is not None and time.monotonic() - started >= parse_budget(budget)


Keep = Literal["shown", "all", "none"]
Executor = Literal["local", "ray"]
PATTERNS = ("tasks", "scorers", "actions")  # which may name files with code
LIVE_NOT_RESUMED = (
    "The run of an object cannot be resumed where it holds no networks, whose weights would tell that it is the same. "
    "Leave out resume: it begins anew in a folder of its own."
)


@dataclass(frozen=True)
class OptionBounds:
    """The most that options take."""

    fresh_seeds: int = 10_000  # of a task
    noted: int = 500  # characters of a note
    wait: float = 1e6  # s, eleven days: waiting takes no longer times


BOUNDS = OptionBounds()


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/4" -> (2, 4)."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard: expected I/N with I from 1 to N, such as 2/4, got '{text}'.")
    return int(match[1]), int(match[2])


def check_timeout(seconds: float) -> None:
    """Refuse a time-out that is none, NaN and infinity included."""
    if not 0 < seconds <= BOUNDS.wait:
        raise UsageError(f"--timeout: expected seconds above 0 and at most {BOUNDS.wait:g}, got {seconds:g}.")


def check_executor(executor: str, address: str | None) -> None:
    """Refuse an executor that there is not, and the address of a cluster for a run that uses none."""
    OPTIONS["executor"].check_value(executor)
    if executor == "local" and address is not None:
        raise UsageError("--address: it is that of a Ray cluster. Add --executor ray.")


def _check_fresh_seeds(value: int | str) -> None:
    if isinstance(value, int) and not 1 <= value <= BOUNDS.fresh_seeds:
        raise UsageError(f"--fresh-seeds: expected 1 to {BOUNDS.fresh_seeds}, got {value}.")


def _check_until(width: float) -> None:
    if not 0 < width < 1:
        raise UsageError(f"--until: expected half the width of an interval, above 0 and below 1, got {width:g}.")


def _check_note(note: str) -> None:
    if len(note) > BOUNDS.noted or not note.isprintable():
        raise UsageError(f"--note: expected one line of at most {BOUNDS.noted} characters.")


def _check_tags(tags: tuple[str, ...]) -> None:
    if wrong := next((tag for tag in tags if not re.fullmatch(r"[\w.:=-]{1,64}", tag)), None):
        raise UsageError(f"--tag: expected letters, digits and . : = _ - without spaces, got '{wrong}'.")


def parse_model_args(pairs: Sequence[str] | None) -> dict[str, str]:
    """["size=64", "fps=15"] -> {"size": "64", "fps": "15"}."""
    parsed: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            example = f"{pair or 'size'}=VALUE" if not equals else "size=64"
            raise UsageError(f"--model-arg: expected key=value, got '{pair}'. Write --model-arg {example}.")
        if key in parsed:
            raise UsageError(f"--model-arg: '{key}' is given twice.")
        parsed[key] = value
    return parsed


def _parse_batch_size(text: str) -> int | None:
    if text != "auto" and not text.isdecimal():
        raise UsageError(f"--batch-size: expected a number or auto, got '{text}'.")
    return None if text == "auto" else int(text)


def _parse_fresh_seeds(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


# Headings of --help.
WHAT, HOW, WHERE, ADVANCED = "What to run", "How to run it", "Where, and what is kept", "Advanced"


@dataclass(frozen=True)
class Option:
    """A setting as the command line, files with settings and checks see it.

    Attributes:
        heading: In --help.
        help: In --help.
        metavar: What stands for its value there.
        flag: Its name on the command line; "": that of the field.
        typed: Its type there, and `usual` its value there, where these are not those of the field.
        parse: Makes the value of the field of the one that was typed.
        offers: Function of `cli.console` that offers values, where none are `known`.
        granted: Whether it is given with the word alone, and has no --no- form.
        in_file: Whether a file with settings may set it.
        eval_alone: Whether only `eval` has it, and no stage of it.
        least, known, check: What its value must be.
    """

    heading: str
    help: str
    metavar: str | None = None
    flag: str = ""
    typed: Any = None
    usual: Any = ...
    parse: Callable[[Any], Any] | None = None
    offers: str = ""
    granted: bool = False
    in_file: bool = False
    eval_alone: bool = False
    least: int | None = None
    known: tuple[str, ...] = ()
    check: Callable[[Any], object] | None = None

    @property
    def word(self) -> str:
        """As it is typed: "--batch-size"."""
        return f"--{self.flag.replace('_', '-')}"

    def check_value(self, value: Any) -> None:
        """Raise UsageError where the value cannot be used, whatever the others are."""
        if self.least is not None and value < self.least:
            raise UsageError(f"{self.word}: expected at least {self.least}, got {value}.")
        if self.known and value not in self.known:
            raise UsageError(f"{self.word}: there is no '{value}'.{nearest(value, self.known)}")
        if self.check is not None:
            self.check(value)

    def words(self, value: Any) -> list[str]:
        """The words that ask for a value."""
        if isinstance(value, bool):
            return [self.word if value else f"--no-{self.word[2:]}"]
        if isinstance(value, Mapping):
            return [part for key, text in value.items() for part in (self.word, f"{key}={text}")]
        if isinstance(value, list):
            return [part for text in value for part in (self.word, text)]
        return [self.word, f"{value:g}" if isinstance(value, float) else str(value)]


def option(default: Any, heading: str, help: str, **traits: Any) -> Any:
    """A field of Options with its Option."""
    usual = {"default_factory": dict} if default is dict else {"default": default}
    return field(**usual, metadata={"option": Option(heading, help, **traits)})


@dataclass(frozen=True)
class Options:
    """The settings of one evaluation, as the command line names them. None: not asked for, or as it is usual."""

    # fmt: off
    model: str  # path or scheme:rest
    suite: str = option("core", WHAT, "smoke: a look in a minute; core: the leaderboard's clips; lite: a quarter of "
        "them, for slow models; full: more tasks; actions: pushes; counterfactuals: pushes and the same without; "
        "phyworld: its scenes and metrics; pusher: a driven body; thrust: a thruster; combo: combinations of elements; "
        "expectation: surprise at impossible films (--limit: pairs, --tasks: their kinds).",
        in_file=True, offers="suite_names")
    model_arg: Mapping[str, str] = option(dict, WHAT, "Passed to the model's factory; repeatable.",
        metavar="K=V", typed=list[str] | None, usual=None, parse=parse_model_args)
    tasks: str | None = option(None, WHAT, "Only these tasks of the suite, or your own from a file.",
        in_file=True, metavar="GLOB|FILE.py", offers="task_names")
    scorers: str | None = option(None, WHAT, "Only these scorers; those from a file are added to all others.",
        in_file=True, metavar="GLOB|FILE.py", offers="scorer_names")
    actions: str | None = option(None, WHAT, "A file that puts actions into the model's own.",
        metavar="MAP.py")
    prompts: str | None = option(None, WHAT, "A file with a sentence a clip (JSON, JSON lines, CSV), for models that "
        "read words, in place of the task's.", metavar="FILE")
    device: str = option("auto", HOW, "auto, cpu, cuda, cuda:1, mps; cuda:0,cuda:1: a process on each.",
        in_file=True, metavar="DEVICE,...", offers="devices", check=split_devices)
    batch_size: int | None = option(None, HOW, "Clips in one batch; auto measures how many fit.",
        in_file=True, metavar="N|auto", typed=str, usual="auto", parse=_parse_batch_size, least=1)
    look: str | None = option(None, WHAT, "How clips are drawn; natural has ground, light, shadows and a shutter's "
        "blur, and needs Mitsuba; natural:shutter=0: sharp; natural:noise=1.5. [default: the card's, else plain]",
        in_file=True, metavar="plain|natural", offers="looks")
    view: str | None = option(None, WHAT, "From where clips are seen; near: from 5 m and a little above; moving: "
        "that, and swaying. [default: the card's, else far]", in_file=True, metavar="far|near|moving", offers="views")
    prompt_motion: bool = option(False, WHAT, "For models that see one image: the prompt says how things move "
        "(slowly, to the left); a track of its own.", in_file=True)
    samples: int = option(1, WHAT, "Rollouts of each clip, for stochastic models.", in_file=True, least=1)
    seed: int = option(0, WHAT, "Seed of the model's generators.", in_file=True, least=0)
    limit: int | None = option(None, WHAT, "At most N clips in all, not of each task: spread over the tasks (after "
        "--tasks) and splits, lowest seeds first.", in_file=True, metavar="N", least=1)
    fresh_seeds: int | str | None = option(None, WHAT, "Clips that no suite holds: N seeds of each task, drawn now, or "
        "those of a run on such seeds.", metavar="N|RUN", typed=str | None, parse=_parse_fresh_seeds,
        check=_check_fresh_seeds)
    dtype: str = option("float32", HOW, "float32, float16, bfloat16, float64.",
        in_file=True, known=("float32", "float16", "bfloat16", "float64"))
    autocast: str | None = option(None, HOW, "torch.autocast around the model's calls; on the CPU bfloat16.",
        in_file=True, metavar="float16|bfloat16", known=("float16", "bfloat16"))
    compile: bool = option(False, HOW, "torch.compile of the model's networks.", in_file=True)
    timeout: float = option(600.0, HOW, "Time limit of one batch; then its clips fail.",
        in_file=True, metavar="SECONDS", check=check_timeout)
    chain: bool = option(True, HOW, "Continue a model with a short horizon on its own last frames.", in_file=True)
    clips: str | None = option(None, WHAT, "Clips of `data pack`, instead of making them; needs no PyBullet to roll "
        "out.", metavar="FILE|URL")
    shard: str | None = option(None, ADVANCED, "Only the I-th of N parts of the run, with --batch-size; `merge` joins "
        "them.", metavar="I/N", check=parse_shard)
    budget: str | None = option(None, HOW, "No rollout begins after so long (90s, 30m, 1h30m); the result of what is "
        "made is partial, and --resume goes on.", eval_alone=True, metavar="TIME", check=parse_budget)
    until: float | None = option(None, HOW, "End once half the interval of overall is at most this, looked at after "
        "fixed fractions of the suite.", eval_alone=True, metavar="WIDTH", check=_check_until)
    keep_rollouts: Keep = option("shown", WHERE,  # noqa: RUF009
        "Videos to keep; shown: those in the report. New scorers need all.",
        in_file=True, metavar="shown|all|none", typed=str, known=get_args(Keep))
    for_board: bool = option(False, WHERE, "Keep all that `leaderboard submit` sends: every rollout of all of core.",
        eval_alone=True, granted=True)
    diagnosis: bool = option(True, HOW, "Seek the laws that the model follows instead.", in_file=True)
    untrained_copy: bool = option(False, ADVANCED, "With --suite expectation: ask the network with its weights drawn "
        "anew, too.", eval_alone=True, granted=True)
    executor: Executor = option("local", ADVANCED,  # noqa: RUF009
        "Where it runs: processes of this machine, or a Ray cluster (pip install 'physbench[ray]').",
        metavar="local|ray", typed=str, known=get_args(Executor))
    address: str | None = option(None, ADVANCED, "Head of the Ray cluster; auto: one that runs here. [default: "
        "$RAY_ADDRESS, or this machine alone]", metavar="HOST:PORT|auto")
    workers: int | None = option(None, HOW, "Processes that track and score; 0: this one does. [default: cores]",
        in_file=True, metavar="N", least=0)
    trust_code: bool = option(False, ADVANCED, "Load files that can run code: .pt2.", granted=True)
    privileged: bool = option(False, ADVANCED, "Hand the clips themselves to a model of yours that has rollout_clips.",
        granted=True)
    note: str = option("", WHERE, "A line that `physbench runs` and the report show.",
        in_file=True, metavar="TEXT", check=_check_note)
    tags: tuple[str, ...] = option((), WHERE, "A name to find the run by with `physbench runs`; repeatable.",
        in_file=True, metavar="TAG", flag="tag", typed=list[str] | None, usual=None, check=_check_tags)
    # fmt: on

    @classmethod
    def typed(cls, model: str, given: Mapping[str, Any]) -> Options:
        """The settings of a command line, checked; `given`: what was typed, by the names of options there."""
        values = {
            name: option.parse(given[option.flag]) if option.parse else given[option.flag]
            for name, option in OPTIONS.items()
            if option.flag in given
        }
        options = cls(model, **values)
        options.check()
        return options

    def __post_init__(self) -> None:
        """Files mean the same from any folder."""
        from physbench.support.files import user_path
        from physbench.support.plugins import absolute_pattern
        from physbench.support.remote import is_url

        given = {name: getattr(self, name) for name in PATTERNS}
        values: dict[str, Any] = {name: absolute_pattern(text) for name, text in given.items() if text is not None}
        if isinstance(self.fresh_seeds, str | os.PathLike):
            values["fresh_seeds"] = str(user_path(os.fspath(self.fresh_seeds)).absolute())
        if self.for_board:
            values["keep_rollouts"] = "all"
        if self.prompts is not None:
            values["prompts"] = str(user_path(self.prompts).absolute())
        if self.clips is not None and not is_url(self.clips):
            values["clips"] = str(user_path(self.clips).absolute())
        values["model_arg"] = {key: str(value) for key, value in self.model_arg.items()}
        values["tags"] = tuple(self.tags or ())
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def check(self) -> None:
        """Refuse what cannot work, before anything is loaded."""
        from physbench.clips.suite import EXPECTATION_SUITE, check_prompt_motion

        for name, option in OPTIONS.items():
            if (value := getattr(self, name)) is not None:
                option.check_value(value)
        if self.prompt_motion:
            check_prompt_motion(self.suite)
        self._check_prompts()
        self._check_board()
        self._check_shard()
        self._check_early_end()
        self._check_executor()
        if self.untrained_copy and self.suite != EXPECTATION_SUITE:
            raise UsageError("--untrained-copy: it stands beside a model on --suite expectation alone. Leave it out.")
        if self.view is not None:
            from physbench.world.scene import PLAIN
            from physbench.world.styles.catalogue import check_pair

            check_pair(self.look or PLAIN, self.view)
        if self.look is not None:
            from physbench.world.styles.catalogue import check_look, known_look

            draws = self.clips is None or self.model.startswith("saboteur:")  # packed clips are drawn already
            (check_look if draws else known_look)(self.look)

    def _check_prompts(self) -> None:
        """Refuse sentences of a file where clips have other prompts, or are not known before they are drawn."""
        if self.prompts is None:
            return
        from physbench.clips.suite import EXPECTATION_SUITE, PROMPT_MOTION_OPTION

        if self.suite == EXPECTATION_SUITE:
            raise UsageError(f"--prompts: films of --suite {self.suite} are several of one clip. Leave it out.")
        if self.prompt_motion:
            raise UsageError(f"--prompts: its sentences would replace those of {PROMPT_MOTION_OPTION}. Leave one out.")
        if self.fresh_seeds is not None:
            raise UsageError("--prompts: no file can know clips that are drawn now. Leave out --fresh-seeds.")

    def _check_board(self) -> None:
        """Refuse what no board ranks."""
        from physbench.clips.suite import EXPECTATION_SUITE
        from physbench.world.scene import PLAIN

        if not self.for_board:
            return
        if self.suite == EXPECTATION_SUITE:
            raise UsageError(f"--for-board: boards rank by the axes, which the suite {self.suite} does not have.")
        for name in ("tasks", "scorers", "actions", "prompts", "limit", "fresh_seeds"):
            if getattr(self, name) is not None:
                raise UsageError(
                    "--for-board: a board ranks all of a suite, as it is, read by all scorers. Leave out "
                    f"--{name.replace('_', '-')}."
                )
        self.check_board_look(self.look or PLAIN)

    def check_board_look(self, look: str) -> None:
        """Refuse a run for a board whose pictures are drawn here, in a look that machines draw differently."""
        from physbench.world.scene import PLAIN

        if self.for_board and look != PLAIN and self.clips is None:
            raise UsageError(
                f"--for-board: boards take runs in the look {look} only on the archive of clips that they publish, as "
                "another machine draws other bytes. Give it: --clips FILE."
            )

    def _check_shard(self) -> None:
        """Refuse what shards of one run could not agree on."""
        if self.shard is None:
            return
        if self.batch_size is None and not self.model.startswith("videos:"):
            raise UsageError(
                "--shard: say --batch-size N, the same for all shards: which clips share a batch is planned for the "
                "whole run. `physbench eval MODEL --dry-run` says what fits."
            )
        if isinstance(self.fresh_seeds, int):
            raise UsageError(
                "--shard: each shard would draw other seeds. Give --fresh-seeds the folder of a run that drew them."
            )

    def _check_executor(self) -> None:
        """Refuse what cannot be done on a cluster."""
        from physbench.world.scene import PLAIN

        check_executor(self.executor, self.address)
        if self.executor == "local":
            return
        if name := next((name for name in ("actions", "prompts") if getattr(self, name) is not None), None):
            raise UsageError(f"--{name}: nodes of a cluster do not have the file. Leave out --executor ray.")
        if self.fresh_seeds is not None:
            raise UsageError(
                "--fresh-seeds: a model could find the clips in the memory of a cluster. Leave out --executor ray."
            )
        if self.look not in (None, PLAIN):
            raise UsageError(
                f"--look {self.look}: nodes of a cluster may draw it in other ways. Leave out --executor ray."
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"--device {self.device}: Ray gives each actor a GPU. Say auto, cuda or cpu.")

    def _check_early_end(self) -> None:
        """Refuse what a run that ends before its suite does cannot be."""
        name = "--budget" if self.until is None else "--until"
        if self.budget is None and self.until is None:
            return
        if self.budget is not None and self.until is not None:
            raise UsageError("Give --budget or --until, not both.")
        if self.shard is not None:
            raise UsageError(f"{name}: a shard has no result that could be one of a part. Leave out --shard.")
        if self.fresh_seeds is not None:
            raise UsageError(
                f"{name}: on fresh seeds nothing is scored before all is rolled out. Leave one of them out."
            )
        if self.until is None:
            return
        if wrong := next((each for each in ("limit", "tasks", "scorers") if getattr(self, each) is not None), None):
            raise UsageError(
                f"--until: looks at fixed fractions of a whole suite, read by all scorers. Leave out --{wrong}."
            )
        if self.suite not in (known := until_suites()):
            raise UsageError(
                f"--until: expected --suite {' or '.join(known)}, got {self.suite}: a fraction of "
                "it has too few clips a task for an interval, or holds pairs of clips."
            )

    @property
    def short_name(self) -> str:
        """Name of the model for folders: "objects" of "reference:objects", "mine" of "nets/mine.py:factory".

        Of a saboteur all of it: "gravity:0.9", since the severity is what tells two of them apart. Of a server
        "localhost-8800".
        """
        from physbench.support.files import user_path

        place, _, rest = self.model.partition(":")
        if place == "saboteur":
            return rest
        if place in ("http", "https"):
            return re.sub(r"[^A-Za-z0-9.-]+", "-", rest).strip("-.") or place
        if place == "videos":
            path = user_path(rest).resolve()
            return path.parent.name if path.name == "answers" else path.stem
        if place == "diffusers":
            return user_path(rest).resolve().name
        looks_like_file = "/" in place or Path(place).suffix
        return Path(place).stem if looks_like_file or not rest else rest.partition(":")[0]

    @property
    def suite_name(self) -> str:
        """Name of the suite for folders."""
        from physbench.clips.suite import FRESH, PROMPT_MOTION_SUFFIX

        name = self.suite if self.fresh_seeds is None else f"{FRESH}{self.suite}"
        name += PROMPT_MOTION_SUFFIX if self.prompt_motion else ""
        return f"{name}-shard-{self.shard.replace('/', '-of-')}" if self.shard else name

    @property
    def suite_words(self) -> str:
        """The suite with the options that choose among its clips, as `physbench data pack` takes them."""
        words = [self.suite, *(("--prompt-motion",) if self.prompt_motion else ())]
        for name in ("limit", "tasks"):
            if getattr(self, name) is not None:
                words += [f"--{name}", str(getattr(self, name))]
        return shlex.join(words)

    def document(self) -> dict[str, Any]:
        """For manifest.json."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**values, "model_arg": dict(self.model_arg), "tags": list(self.tags)}

    def resume_command(self, out: Path, verb: str = "eval") -> str:
        """The exact command that goes on with the run in `out`; `verb`: eval or rollout."""
        words = ["physbench", verb, self.model, *OPTIONS["suite"].words(self.suite)]
        usual, chosen = Options(self.model, suite=self.suite).document(), self.document()
        for name, option in OPTIONS.items():
            if chosen[name] != usual[name] and not (option.eval_alone and verb != "eval"):
                words += option.words(chosen[name])
        return shlex.join([*words, "--out", str(out), "--resume"])

    def rollout_command(self, out: Path) -> str:
        """The command that makes rollouts that `out` lacks, wherever that is done."""
        anywhere = replace(self, workers=None, executor="local", address=None, budget=None, until=None)
        return anywhere.resume_command(out, "rollout")


OPTIONS: Mapping[str, Option] = {  # by the name of their field
    each.name: replace(each.metadata["option"], flag=each.metadata["option"].flag or each.name)
    for each in fields(Options)
    if "option" in each.metadata
}


def until_suites() -> tuple[str, ...]:
    """The suites on which a run may end before all of it is made."""
    from physbench.clips.suite import GOLDEN_SUITES, SUITE_CHANGES

    return tuple(
        name
        for name, splits in GOLDEN_SUITES.items()
        if sum(splits.values()) >= 16  # half of so many clips have an interval
        and name not in SUITE_CHANGES  # pairs: read once all is rolled out
    )


def live_again(path: Path, sha256: str | None) -> str:
    """The call that goes on with the run of a model in this process; `sha256`: of its weights, None if not known."""
    return f"evaluate(model, ..., out={str(path)!r}, resume=True)" if sha256 else "evaluate(model, ...), from the start"


def options_of(document: Mapping[str, Any]) -> Options:
    """The settings that a manifest holds; what an older manifest lacks is as by default.

    Raises UsageError: A setting has another kind of value than it can have.
    """
    known = {item.name for item in fields(Options)}
    values = {name: value for name, value in document.items() if name in known}
    try:
        options = Options(**values)
        options.check()
    except (TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"The options in the manifest cannot be read ({error}).") from error
    return options
