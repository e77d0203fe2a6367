"""Converts --model-arg key=value into the keyword arguments of a factory."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from physbench.errors import ModelError, nearest

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
HARNESS_ARGUMENTS = ("device", "dtype")  # which the harness passes itself


def convert_argument(text: str, kind: Any, key: str) -> Any:
    """Convert a value from the command line.

    Args:
        text: The value.
        kind: Annotation of the parameter, or the type of its default: bool, int, float or Path; others mean str.
        key: Name of the parameter, for the message.

    Raises:
        ModelError: The text is not a value of this kind.
    """
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "str")
    name = name.replace("Optional[", "").removesuffix("]").replace("| None", "").strip()
    try:
        match name:
            case "bool":
                if text.lower() not in TRUE + FALSE:
                    raise ValueError
                return text.lower() in TRUE
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "Path":
                return Path(text)
    except ValueError:
        example = {"bool": "true or false", "int": "a whole number", "float": "a number"}[name]
        raise ModelError(f"--model-arg {key}={text}: expected {example}.") from None
    return text


def factory_arguments(factory: Callable[..., Any], given: Mapping[str, str], where: str) -> dict[str, Any]:
    """The keyword arguments of a factory besides device and dtype.

    Args:
        factory: The user's function.
        given: Values of --model-arg, by name.
        where: The function as the user named it, for messages.

    Raises:
        ModelError: An argument is unknown, missing or of the wrong kind.
    """
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a function written in C has no signature
        return dict(given)
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    }
    missing = [name for name in HARNESS_ARGUMENTS if name not in named and not takes_any]
    if missing:
        raise ModelError(
            f"{where} does not take {' and '.join(missing)}: expected `def {getattr(factory, '__name__', 'factory')}"
            "(*, device, dtype)`, further arguments after them."
        )
    user_arguments = [name for name in named if name not in HARNESS_ARGUMENTS]
    arguments: dict[str, Any] = {}
    for key, text in given.items():
        if key in HARNESS_ARGUMENTS:
            raise ModelError(f"--model-arg {key}: use --{key} {text}.")
        other = re.search(r",\s*(\w+)=", text)
        if other and other[1] in user_arguments:
            raise ModelError(f"--model-arg {key}={text}: holds two. Give each its own: --model-arg {other[0][1:]}...")
        if key in named:
            parameter = named[key]
            kind = parameter.annotation
            if kind is inspect.Parameter.empty:
                kind = type(parameter.default) if parameter.default is not inspect.Parameter.empty else str
            arguments[key] = convert_argument(text, kind, key)
        elif takes_any:
            arguments[key] = text
        else:
            hint = nearest(key, user_arguments) or " It takes none."
            raise ModelError(f"--model-arg {key}: {where} has no argument of that name.{hint}")
    needed = [
        name for name in user_arguments if named[name].default is inspect.Parameter.empty and name not in arguments
    ]
    if needed:
        raise ModelError(f"{where} needs " + " ".join(f"--model-arg {name}=VALUE" for name in needed) + ".")
    return arguments
