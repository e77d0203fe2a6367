"""What a run was asked to do, its budget of time, and the command line that asks for it again."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from physbench.clips.suite import EXPECTATION_SUITE, FRESH, GOLDEN_SUITES, SUITE_CHANGES, TOLD_SUFFIX, check_told
from physbench.rollout.device_names import split_devices
from physbench.support import user_files
from physbench.support.errors import UsageError, nearest
from physbench.support.files import user_path
from physbench.support.remote import is_url
from physbench.world.scene import PLAIN
from physbench.world.styles.catalogue import check_look, known_look

# How long a run with `--budget` may go on beginning rollouts.

UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
LONGEST_BUDGET = 1000 * UNIT_SECONDS["h"]
_FORM = re.compile(
    r"(?:(?P<h>\d{1,6}(?:\.\d+)?)h)?(?:(?P<m>\d{1,6}(?:\.\d+)?)m)?(?:(?P<s>\d{1,6}(?:\.\d+)?)s)?", re.ASCII
)


def parse_budget(text: str) -> float:
    """Seconds of a time such as "2h", "30m", "90s" or "1h30m".

    >>> parse_budget("1h30m")
    5400.0

    Raises:
        UsageError: It is none, or not above 0, or longer than 1,000 hours.
    """
    found = _FORM.fullmatch(text.strip())
    if not text.strip() or found is None:
        raise UsageError(f"--budget: expected a time such as 90s, 30m, 2h or 1h30m, got '{text}'.")
    seconds = sum(float(found[unit] or 0) * size for unit, size in UNIT_SECONDS.items())
    if not 0 < seconds <= LONGEST_BUDGET:
        raise UsageError(f"--budget: expected more than nothing and at most 1000h, got '{text}'.")
    return seconds


def is_spent(budget: str | None, started: float) -> bool:
    """Whether the time is over that a run has which started then (`time.monotonic`); None: it has all of it."""
    return budget is not None and time.monotonic() - started >= parse_budget(budget)


Keep = Literal["shown", "all", "none"]
Executor = Literal["local", "ray"]
EXECUTORS = ("local", "ray")
RAY_DEVICES = ("auto", "cpu", "cuda")
DTYPE_NAMES = ("float32", "float16", "bfloat16", "float64")
AUTOCAST_NAMES = ("float16", "bfloat16")
KEEPS = ("shown", "all", "none")
LIVE_NOT_RESUMED = (
    "The run of an object cannot be resumed where it holds no networks, whose weights would tell that it is the same. "
    "Leave out resume: it begins anew in a folder of its own."
)
MOST_FRESH_SEEDS = 10_000  # of a task
MOST_NOTED = 500  # characters of a note
LONGEST_WAIT = 1e6  # s, eleven days: waiting takes no longer times
FEWEST_FOR_LOOKS = 16  # clips of a task: half of them have an interval
UNTIL_SUITES = tuple(
    name
    for name, splits in GOLDEN_SUITES.items()
    if sum(splits.values()) >= FEWEST_FOR_LOOKS and name not in SUITE_CHANGES  # pairs are read once all is rolled out
)


@dataclass(frozen=True)
class Options:
    """The settings of one evaluation. The names are those of the command line."""

    model: str  # path or scheme:rest
    suite: str = "core"
    model_arg: Mapping[str, str] = field(default_factory=dict)
    tasks: str | None = None  # names, globs, files
    scorers: str | None = None  # names, globs, files
    limit: int | None = None  # clips, taken evenly from the suite
    device: str = "auto"
    batch_size: int | None = None  # None: found from a probe
    samples: int = 1
    seed: int = 0
    dtype: str = "float32"
    autocast: str | None = None  # type of torch.autocast around the model's calls
    compile: bool = False  # its networks go through torch.compile
    timeout: float = 600.0  # s a batch
    chain: bool = True
    keep_rollouts: Keep = "shown"  # for a board: all
    for_board: bool = False  # all of a suite, with all that `leaderboard submit` sends
    diagnosis: bool = True  # find which other laws would explain the motion
    workers: int | None = None  # None: one per core; 0: none, and the run's own process does their jobs
    trust_code: bool = False
    privileged: bool = False  # a model of the user's may be handed the clips themselves
    fresh_seeds: int | str | None = None  # seeds of each task to draw now, or a run whose seeds are used again
    look: str | None = None  # how clips are drawn; None: as the model's card says
    clips: str | None = None  # an archive of clips, instead of those that this machine makes
    executor: Executor = "local"
    address: str | None = None  # of a Ray cluster; None: as the environment says, or this machine alone
    shard: str | None = None  # "2/4": the second of four parts of the run
    prompt_motion: bool = False  # the prompt says in words how things move at the hand-over
    untrained_copy: bool = False  # on the suite expectation: ask the same network without its training, too
    budget: str | None = None  # "1h30m": after it no rollout begins
    until: float | None = None  # half width of the interval of overall at which the run may stop
    note: str = ""  # what the user says of the run
    tags: tuple[str, ...] = ()  # names under which `physbench runs` finds it

    def __post_init__(self) -> None:
        """Files mean the same from any folder."""
        for name in ("tasks", "scorers"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, user_files.absolute_pattern(getattr(self, name)))
        if isinstance(self.fresh_seeds, str):
            object.__setattr__(self, "fresh_seeds", str(user_path(self.fresh_seeds).absolute()))
        if self.for_board:
            object.__setattr__(self, "keep_rollouts", "all")
        if self.clips is not None and not is_url(self.clips):
            object.__setattr__(self, "clips", str(user_path(self.clips).absolute()))

    def check(self) -> None:
        """Refuse what cannot work, before anything is loaded."""
        for name, least in (("limit", 1), ("batch_size", 1), ("samples", 1), ("workers", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"--{name.replace('_', '-')}: expected at least {least}, got {value}.")
        if isinstance(self.fresh_seeds, int) and not 1 <= self.fresh_seeds <= MOST_FRESH_SEEDS:
            raise UsageError(f"--fresh-seeds: expected 1 to {MOST_FRESH_SEEDS}, got {self.fresh_seeds}.")
        check_timeout(self.timeout)
        if self.prompt_motion:
            check_told(self.suite)
        self._check_board()
        self._check_shard()
        self._check_early_end()
        self._check_executor()
        split_devices(self.device)
        if self.untrained_copy and self.suite != EXPECTATION_SUITE:
            raise UsageError("--untrained-copy: it stands beside a model on --suite expectation alone. Leave it out.")
        if self.dtype not in DTYPE_NAMES:
            raise UsageError(f"--dtype: there is no '{self.dtype}'.{nearest(self.dtype, DTYPE_NAMES)}")
        if self.autocast is not None and self.autocast not in AUTOCAST_NAMES:
            raise UsageError(f"--autocast: there is no '{self.autocast}'.{nearest(self.autocast, AUTOCAST_NAMES)}")
        if self.look is not None:
            draws = self.clips is None or self.model.startswith("saboteur:")  # packed clips are drawn already
            (check_look if draws else known_look)(self.look)
        if wrong := next((tag for tag in self.tags if not re.fullmatch(r"[\w.:=-]{1,64}", tag)), None):
            raise UsageError(f"--tag: expected letters, digits and . : = _ - without spaces, got '{wrong}'.")
        if len(self.note) > MOST_NOTED or not self.note.isprintable():
            raise UsageError(f"--note: expected one line of at most {MOST_NOTED} characters.")
        if self.keep_rollouts not in KEEPS:
            raise UsageError(
                f"--keep-rollouts: there is no '{self.keep_rollouts}'.{nearest(self.keep_rollouts, KEEPS)}"
            )

    def _check_board(self) -> None:
        """Refuse what no board ranks."""
        if not self.for_board:
            return
        if self.suite == EXPECTATION_SUITE:
            raise UsageError(f"--for-board: boards rank by the axes, which the suite {self.suite} does not have.")
        for name in ("tasks", "scorers", "limit", "fresh_seeds"):
            if getattr(self, name) is not None:
                raise UsageError(
                    "--for-board: a board ranks all of a suite, read by all scorers. Leave out "
                    f"--{name.replace('_', '-')}."
                )
        self.check_board_look(self.look or PLAIN)

    def check_board_look(self, look: str) -> None:
        """Refuse a run for a board whose pictures are drawn here, in a look that machines draw differently."""
        if self.for_board and look != PLAIN and self.clips is None:
            raise UsageError(
                f"--for-board: boards take runs in the look {look} only on the archive of clips that they publish, as "
                "another machine draws other bytes. Give it: --clips FILE."
            )

    def _check_shard(self) -> None:
        """Refuse what shards of one run could not agree on."""
        if self.shard is None:
            return
        parse_shard(self.shard)
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
        check_executor(self.executor, self.address)
        if self.executor == "local":
            return
        if self.fresh_seeds is not None:
            raise UsageError(
                "--fresh-seeds: a model could find the clips in the memory of a cluster. Leave out --executor ray."
            )
        if self.look not in (None, PLAIN):
            raise UsageError(
                f"--look {self.look}: nodes of a cluster may draw it in other ways. Leave out --executor ray."
            )
        if self.device not in RAY_DEVICES:
            raise UsageError(f"--device {self.device}: Ray gives each actor a GPU. Say auto, cuda or cpu.")

    def _check_early_end(self) -> None:
        """Refuse what a run that ends before its suite does cannot be."""
        name = "--budget" if self.until is None else "--until"
        if self.budget is None and self.until is None:
            return
        if self.budget is not None:
            parse_budget(self.budget)
        if self.until is not None and not 0 < self.until < 1:
            raise UsageError(
                f"--until: expected half the width of an interval, above 0 and below 1, got {self.until:g}."
            )
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
        if self.suite not in UNTIL_SUITES:
            raise UsageError(
                f"--until: expected --suite {' or '.join(UNTIL_SUITES)}, got {self.suite}: a fraction of "
                "it has too few clips a task for an interval, or holds pairs of clips."
            )

    @property
    def short_name(self) -> str:
        """Name of the model for folders: "objects" of "reference:objects", "mine" of "nets/mine.py:factory".

        Of a saboteur all of it: "gravity:0.9", since the severity is what tells two of them apart. Of a server
        "localhost-8800".
        """
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
        name = self.suite if self.fresh_seeds is None else f"{FRESH}{self.suite}"
        name += TOLD_SUFFIX if self.prompt_motion else ""
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
        words = ["physbench", verb, self.model]
        usual = {item.name: item.default for item in fields(self)} | {"tags": []}
        for name, value in self.document().items():
            option = f"--{name.replace('_', '-')}"
            if name == "model" or (value == usual[name] and name != "suite"):
                continue
            if name == "model_arg":
                for key, text in value.items():
                    words += [option, f"{key}={text}"]
            elif name == "tags":
                for tag in value:
                    words += ["--tag", tag]
            elif name in ("chain", "diagnosis"):
                words.append(f"--no-{name}")
            elif name in ("compile", "trust_code", "privileged", "prompt_motion", "untrained_copy", "for_board"):
                words.append(option)
            else:
                words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join([*words, "--out", str(out), "--resume"])

    def rollout_command(self, out: Path) -> str:
        """The command that makes rollouts that `out` lacks, wherever that is done."""
        anywhere = replace(self, workers=None, executor="local", address=None, budget=None, until=None)
        return anywhere.resume_command(out, "rollout")


def live_again(path: Path, sha256: str | None) -> str:
    """The call that goes on with the run of a model in this process; `sha256`: of its weights, None if not known."""
    return f"evaluate(model, ..., out={str(path)!r}, resume=True)" if sha256 else "evaluate(model, ...), from the start"


def options_of(document: Mapping[str, Any]) -> Options:
    """The settings that `Options.document` wrote; what an older manifest lacks is as by default.

    Raises:
        UsageError: A setting has another kind of value than it can have.
    """
    known = {item.name for item in fields(Options)}
    values = {name: value for name, value in document.items() if name in known}
    try:
        options = Options(**{**values, "tags": tuple(values.get("tags") or ())})
        options.check()
    except (TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"The options in the manifest cannot be read ({error}).") from error
    return options


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/4" -> (2, 4)."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard: expected I/N with I from 1 to N, such as 2/4, got '{text}'.")
    return int(found[1]), int(found[2])


def check_executor(executor: str, address: str | None) -> None:
    """Refuse an executor that there is not, and the address of a cluster for a run that uses none."""
    if executor not in EXECUTORS:
        raise UsageError(f"--executor: there is no '{executor}'.{nearest(executor, EXECUTORS)}")
    if executor == "local" and address is not None:
        raise UsageError("--address: it is that of a Ray cluster. Add --executor ray.")


def check_timeout(seconds: float) -> None:
    """Refuse a time-out that is none, NaN and infinity included."""
    if not 0 < seconds <= LONGEST_WAIT:
        raise UsageError(f"--timeout: expected seconds above 0 and at most {LONGEST_WAIT:g}, got {seconds:g}.")


def parse_model_args(pairs: list[str]) -> dict[str, str]:
    """["size=64", "fps=15"] -> {"size": "64", "fps": "15"}."""
    parsed: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            example = f"{pair or 'size'}=VALUE" if not equals else "size=64"
            raise UsageError(f"--model-arg: expected key=value, got '{pair}'. Write --model-arg {example}.")
        if key in parsed:
            raise UsageError(f"--model-arg: '{key}' is given twice.")
        parsed[key] = value
    return parsed
