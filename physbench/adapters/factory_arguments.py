"""Turns --model-arg key=value into what a factory takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from physbench.errors import ModelError, nearest

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
HARNESS_ARGUMENTS = ("device", "dtype")  # by the harness


def convert_argument(text: str, kind: Any, key: str) -> Any:
    """Convert a value to bool, int, float, Path or str, after the parameter's annotation or the type of its default."""
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
    """Return the keyword arguments for a factory beside device and dtype, or raise ModelError with what is amiss."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a call written in C does not tell
        return dict(given)
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    }
    missing = [name for name in HARNESS_ARGUMENTS if name not in named and not anything]
    if missing:
        raise ModelError(
            f"{where} does not take {' and '.join(missing)}: expected `def {getattr(factory, '__name__', 'factory')}"
            "(*, device, dtype)`, further arguments after them."
        )
    own = [name for name in named if name not in HARNESS_ARGUMENTS]
    arguments: dict[str, Any] = {}
    for key, text in given.items():
        if key in HARNESS_ARGUMENTS:
            raise ModelError(f"--model-arg {key}: use --{key} {text}.")
        if key in named:
            parameter = named[key]
            kind = parameter.annotation
            if kind is inspect.Parameter.empty:
                kind = type(parameter.default) if parameter.default is not inspect.Parameter.empty else str
            arguments[key] = convert_argument(text, kind, key)
        elif anything:
            arguments[key] = text
        else:
            hint = nearest(key, own) or " It takes none."
            raise ModelError(f"--model-arg {key}: {where} has no argument of that name.{hint}")
    needed = [name for name in own if named[name].default is inspect.Parameter.empty and name not in arguments]
    if needed:
        raise ModelError(f"{where} needs " + " ".join(f"--model-arg {name}=..." for name in needed) + ".")
    return arguments
