"""The messages between the parent and the model's process. Imports no torch.

What comes from the model's process is checked against the types and bounds below before the parent uses it
(`decode`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

from annotated_types import Ge, Le, MaxLen, Predicate

from physbench.models.load_model import Handed
from physbench.models.protocol import ModelCard, StateCard, SurpriseCard, check_card_types
from physbench.rollout.answers import Inputs
from physbench.support.errors import ModelError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

GLOBAL_RANDOMNESS = (
    "The model draws from the global random generators, which a batch shares: draw from `generators`, one a clip, and "
    "put networks into eval mode."
)


@dataclass(frozen=True)
class MessageBounds:
    """Bounds of what the model's process may send."""

    message_bytes: int = 2**20  # bytes; the frames are in the shared memory
    text: int = 4000  # characters of a reason, a note or a name
    traceback: int = 100_000  # characters
    problem: int = 200  # characters
    notes: int = 100
    positions: int = 100_000  # of a batch


BOUNDS = MessageBounds()


def is_plain(text: str) -> bool:
    """True if a text holds nothing but printable characters and ends of lines: it is shown on terminals."""
    return all(line.isprintable() for line in text.split("\n"))


Text = Annotated[str, MaxLen(BOUNDS.text), Predicate(is_plain)]
Traceback = Annotated[str, MaxLen(BOUNDS.traceback), Predicate(is_plain)]
Notes = Annotated[tuple[Text, ...], MaxLen(BOUNDS.notes)]
Settings = Annotated[dict[Text, Text], MaxLen(BOUNDS.notes)]
Whole = Annotated[int, Ge(0), Le(2**62)]
Seconds = Annotated[float, Ge(0), Le(1e12)]
Positions = Annotated[tuple[Whole, ...], MaxLen(BOUNDS.positions)]


@dataclass(frozen=True)
class LoadRequest:
    """Load this model: the first message to the process."""

    target: str  # this, model_args, trust_code, privileged and untrained: see `load_model`
    device: str = "auto"  # "cpu", "cuda", "cuda:1", "mps"
    dtype: str = "float32"  # "float16", "bfloat16", "float64"
    model_args: Mapping[str, str] = field(default_factory=dict)
    trust_code: bool = False
    threads: int | None = None  # of torch; None: its own choice
    privileged: bool = False  # a model of the user's may be handed the clips themselves
    untrained: bool = False  # its weights are drawn anew
    autocast: str | None = None  # type of torch.autocast around its calls
    compile: bool = False  # its networks go through torch.compile


class _FirstThatFits:
    """Of several types the first that takes all fields: each kind of card has others than the kinds before it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(source), "mode": "left_to_right"}


@dataclass(frozen=True)
class LoadedModel:
    """The model is loaded: its card, and where it runs."""

    card: Annotated[ModelCard | StateCard | SurpriseCard, _FirstThatFits()]
    privileged: bool  # it is handed the clips themselves
    device: Text
    dtype: Text
    device_name: Text  # of the accelerator or the processor
    rss: Whole  # bytes, peak of the process so far
    accelerator: Whole  # bytes, peak on the device so far
    recorded: bool = False  # its answers exist already, as videos: it is told which clip it plays
    notes: Notes = ()  # of a recorded model, or of one behind a server
    reported_sha256: Text | None = None  # of a model behind a server, as the server says
    settings: Settings = field(default_factory=dict)  # that decided its frames, for the manifest


@dataclass(frozen=True)
class LoadFailure:
    """The model could not be loaded."""

    reason: Text  # one or two lines for the user
    traceback: Traceback


@dataclass(frozen=True, eq=False)
class RolloutJob:
    """Some positions of one batch, to be rolled out in parts of at most `part_size`.

    The shared memory holds, at `offset`, an array (batch_size, stored, *step), see `Answers.step`; the answer to
    position p goes to its element p.
    """

    index: int  # of the batch in the plan
    positions: tuple[int, ...]  # B of range(batch_size)
    part_size: int
    batch_size: int
    stored: int  # moments kept: less than the horizon only where a short model is not chained
    inputs: Inputs  # of B clips
    bodies: tuple[int, ...]  # of each clip of range(batch_size)
    memory: int  # bytes of the shared memory
    offset: int


@dataclass(frozen=True)
class PartStarted:
    """A part of a job has begun."""

    index: Whole
    positions: Positions
    retry: bool  # clip by clip after the batch raised
    time: Seconds  # time.monotonic(), the same clock in both processes


@dataclass(frozen=True)
class PositionResult:
    """The result of one position."""

    position: Whole
    frames: Whole  # written to the shared memory
    chained: Whole
    seconds: Seconds  # the model's own time, its share of the part
    failure: Text | None = None


@dataclass(frozen=True)
class PartFinished:
    """A part of a job is done."""

    index: Whole
    results: Annotated[tuple[PositionResult, ...], MaxLen(BOUNDS.positions)]


@dataclass(frozen=True)
class DeviceFailure:
    """A part raised an error after which the device cannot be used in this process, so that a new one is needed."""

    index: Whole
    reason: Text


@dataclass(frozen=True)
class RolloutEvent:
    """An irregularity for readers of the run: a batch was halved, tried again, killed, or failed."""

    kind: Text  # "halved", "retried", "restarted" (the same again in a new process), "timeout", "died"
    batch: Whole
    clips: Annotated[tuple[Text, ...], MaxLen(BOUNDS.positions)]  # BatchItem.id of the affected; the parent fills it in
    detail: Text
    part_size: Annotated[int, Ge(1)] | None = None  # after "halved": clips together from then on, at most
    positions: Positions = ()

    def document(self) -> dict[str, Any]:
        """For manifest.json."""
        document: dict[str, Any] = {"kind": self.kind, "batch": self.batch, "clips": list(self.clips)}
        document["detail"] = self.detail
        if self.part_size is not None:
            document["part_size"] = self.part_size
        return document


@dataclass(frozen=True)
class JobDone:
    """All parts of a job are done."""

    index: Whole
    rss: Whole  # bytes, peak of the process
    accelerator: Whole  # bytes, peak on the device
    free: Whole  # bytes left on the device
    notes: Notes = ()  # warnings about what is allowed


# What the model's process may send.
Report = LoadedModel | LoadFailure | PartStarted | PartFinished | RolloutEvent | DeviceFailure | JobDone


# What the model's process sends, as bytes: the name of a message and its fields as JSON.
#
# Code of the model's author runs in that process, so that the parent must not trust what arrives. It unpickles nothing,
# and takes a message only if its kind is known and each field has the type and the bounds that `messages` declares.

REPORT_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Report)}


class MessageError(Exception):
    """Bytes that are no message. The text says why."""


def encode(message: Report) -> bytes:
    """Write a message of the model's process; texts and notes beyond their bounds are cut."""
    fields = _bounded(_fields(message))
    return f"{type(message).__name__} {json.dumps([fields], ensure_ascii=False)}".encode()


def _fields(value: Any) -> Any:
    """The arguments from which a dataclass is made, by name; other values as they are."""
    if dataclasses.is_dataclass(value):
        return {field.name: _fields(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, list | tuple):
        return [_fields(each) for each in value]
    return value


def _bounded(value: Any, name: str = "") -> Any:
    """The same value with texts that keep the bounds: a model's error may be long, or hold colours of a terminal."""
    if isinstance(value, str):
        text = value[-BOUNDS.traceback :] if name == "traceback" else value[: BOUNDS.text]
        return text if is_plain(text) else "".join(sign if is_plain(sign) else " " for sign in text)
    if isinstance(value, dict):
        return {key: _bounded(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(each) for each in (value[: BOUNDS.notes] if name == "notes" else value)]
    return value


def decode(content: bytes) -> Report:
    """Read a message of the model's process.

    Raises MessageError: the kind is not known, or a field is missing, unknown, or not of its type and bounds.
    """
    from pydantic import ValidationError

    name, _, fields = content.partition(b" ")
    kind = name[: BOUNDS.problem].decode("ascii", "replace")
    if kind not in REPORT_KINDS:
        raise MessageError("no message of a known kind")
    try:
        [message] = _adapter(kind).validate_json(fields, strict=True)
        return cast("Report", message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        raise MessageError(f"a wrong {kind} ({ascii(problem[: BOUNDS.problem])[1:-1]})") from None


@cache
def _adapter(kind: str) -> TypeAdapter[tuple[Any]]:
    """Reads the fields of one kind. pydantic is imported here, as the model's process does not read such messages."""
    from pydantic import ConfigDict, TypeAdapter

    # A tuple of one, as a dataclass itself takes no configuration here.
    one: Any = tuple[REPORT_KINDS[kind]]  # type: ignore[valid-type]
    return TypeAdapter(one, config=ConfigDict(extra="forbid", allow_inf_nan=False))


# Checks what a model's process says of the model that it has loaded.


def checked_info(answer: Report, target: str, handed: Handed, first: LoadedModel | None) -> LoadedModel:
    """Return the answer of a process that was asked to load a model.

    Args:
        answer: The first message of the process.
        target: The model, for messages.
        handed: What it may be handed. The process is not asked, as code of the model's author runs there.
        first: The answer of an earlier process for the same model, whose clips may be rolled out already.

    Raises ModelError: the model could not be loaded, or the answer asks for more than it may, or is of another model.
    """
    if isinstance(answer, LoadFailure):
        error = ModelError(answer.reason)
        error.add_note(answer.traceback)
        raise error
    if not isinstance(answer, LoadedModel):
        raise ModelError(f"{target}: the process that loads it sent a {type(answer).__name__} before the model.")
    try:
        check_card_types(answer.card, target)
    except (OverflowError, ValueError) as error:  # a number that no float holds
        raise ModelError(f"{target}: its process sent a card that cannot be read ({error}).") from None
    if (answer.privileged and handed != "clip") or (answer.recorded and handed != "id"):
        raise ModelError(f"{target}: its process asks for clips that it may not be handed.")
    if answer.privileged != (answer.card.track == "privileged"):
        raise ModelError(f"{target}: its process contradicts itself on whether it is handed clips.")
    if first is not None and _identity(first) != _identity(answer):
        raise ModelError(f"{target}: its card is another one than before, or its settings or reported hash are.")
    return answer


def shown_in(info: LoadedModel, look: str | None, view: str | None) -> LoadedModel:
    """The model as it is asked in a look and a view; None: those of its card. Raises ModelError where it cannot be."""
    for name, wanted in (("look", look), ("view", view)):
        own = getattr(info.card, name)
        if wanted is None or wanted == own:
            continue
        if not info.card.sees_pictures:
            raise ModelError(
                f"--{name} {wanted}: {info.card.name} is given states and sees no pictures. Leave --{name} out."
            )
        if info.recorded:
            raise ModelError(
                f"--{name} {wanted}: the videos of {info.card.name} continue clips of the {name} {own}. Leave --{name} "
                f"out, or export the clips anew with --{name} {wanted}."
            )
    card = dataclasses.replace(info.card, look=look or info.card.look, view=view or info.card.view)
    return info if card == info.card else dataclasses.replace(info, card=card)


def _identity(info: LoadedModel) -> tuple[object, ...]:
    """Properties that stay the same as long as the model does."""
    return info.card, info.privileged, info.recorded, info.reported_sha256, info.settings
