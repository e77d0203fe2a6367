"""What the model's process sends, as bytes: the name of a message and its fields as JSON.

Code of the model's author runs in that process, so that the parent must not trust what arrives. It unpickles nothing,
and takes a message only if its kind is known and each field has the type and the bounds that `messages` declares.
"""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_args

from physbench.rollouts.messages import MAX_NOTES, MAX_TEXT, MAX_TRACEBACK, Report, is_plain

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_MESSAGE_BYTES = 2**20  # bytes; the frames are in the shared memory
MAX_PROBLEM = 200  # characters
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
        text = value[-MAX_TRACEBACK:] if name == "traceback" else value[:MAX_TEXT]
        return text if is_plain(text) else "".join(sign if is_plain(sign) else " " for sign in text)
    if isinstance(value, dict):
        return {key: _bounded(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(each) for each in (value[:MAX_NOTES] if name == "notes" else value)]
    return value


def decode(content: bytes) -> Report:
    """Read a message of the model's process.

    Raises:
        MessageError: The kind is not known, or a field is missing, unknown, or not of its type and bounds.
    """
    from pydantic import ValidationError

    name, _, fields = content.partition(b" ")
    kind = name[:MAX_PROBLEM].decode("ascii", "replace")
    if kind not in REPORT_KINDS:
        raise MessageError("no message of a known kind")
    try:
        [message] = _adapter(kind).validate_json(fields, strict=True)
        return cast("Report", message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        problem = f"{where}: {first['msg']}" if where else first["msg"]
        raise MessageError(f"a wrong {kind} ({ascii(problem[:MAX_PROBLEM])[1:-1]})") from None


@cache
def _adapter(kind: str) -> TypeAdapter[tuple[Any]]:
    """Reads the fields of one kind. pydantic is imported here, as the model's process does not read such messages."""
    from pydantic import ConfigDict, TypeAdapter

    # A tuple of one, as a dataclass itself takes no configuration here.
    one: Any = tuple[REPORT_KINDS[kind]]  # type: ignore[valid-type]
    return TypeAdapter(one, config=ConfigDict(extra="forbid", allow_inf_nan=False))
