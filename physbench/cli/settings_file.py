"""Settings for the command line: `physbench.toml` or `[tool.physbench]` of `pyproject.toml` in the current folder.

A folder may come from somebody else: its settings cannot name a model or a file with code, grant anything, or choose
where something is written or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from typer import Context

from physbench.support.errors import UsageError, nearest

OWN_FILE, SHARED_FILE, TOOL = "physbench.toml", "pyproject.toml", "physbench"
Typed = Callable[[str], Mapping[str, str] | None]


@dataclass(frozen=True)
class FileSettings:
    """Settings of a file, by command ("eval", "data.generate") and option."""

    file: str = ""
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def default_map(self) -> dict[str, Any]:
        """Nested by words of commands, as a click context takes it."""
        nested: dict[str, Any] = {}
        for command, values in self.values.items():
            place = nested
            for word in command.split("."):
                place = place.setdefault(word, {})
            place.update(values)
        return nested


@cache
def _allowed() -> Mapping[str, tuple[str, ...]]:
    """The options that a file may set, by command."""
    from physbench.run.options import OPTIONS

    of_runs = tuple(option.flag for option in OPTIONS.values() if option.in_file)
    return {
        "eval": of_runs,
        "rollout": of_runs,
        **dict.fromkeys(("score", "finish", "merge", "diagnose"), ("workers",)),
        "data.generate": ("suite", "size", "fps", "look", "view", "limit", "workers", "tasks"),
        "data.export": (
            "suite",
            "size",
            "fps",
            "look",
            "view",
            "context",
            "prompt_motion",
            "limit",
            "workers",
            "tasks",
        ),
        **dict.fromkeys(("tasks.check", "scorers.check"), ("workers",)),
    }


def settings_used(context: Context) -> dict[str, Any]:
    """Settings that a command takes from the file, as they stand in a manifest; {} where there are none."""
    settings = context.find_root().obj
    command = ".".join(context.command_path.split()[1:])
    given = settings.values.get(command, {}) if isinstance(settings, FileSettings) else {}
    sources = {name: context.get_parameter_source(name) for name in given}
    # The source of a parameter from a file, as click names it
    used = {
        name: given[name] for name, source in sources.items() if source is not None and source.name == "DEFAULT_MAP"
    }
    return {"file": settings.file, "values": used} if used else {}


def read_settings(folder: Path, typed: Typed = lambda command: None) -> FileSettings:
    """Settings of a folder; empty where it has none.

    Args:
        folder: Where the program was started.
        typed: Options of a command ("data.pack") by name as they are typed, None where there is no such command; for
            messages.

    Raises UsageError: the file cannot be read, or sets what it may not.
    """
    own, shared = folder / OWN_FILE, folder / SHARED_FILE
    if own.is_file():
        return FileSettings(OWN_FILE, _checked(OWN_FILE, _parsed(own), typed))
    if not shared.is_file():
        return FileSettings()
    try:
        document = _parsed(shared)
    except UsageError:  # no file of ours: whoever owns it will complain
        return FileSettings()
    tool = document.get("tool")
    table = tool.get(TOOL) if isinstance(tool, dict) else None
    if table is None:
        return FileSettings()
    where = f"{SHARED_FILE}, [tool.{TOOL}]"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: expected a table.")
    return FileSettings(where, _checked(where, table, typed))


def _parsed(path: Path) -> dict[str, Any]:
    import tomllib

    from physbench.support.files import user_text

    most_settings_bytes = 1 << 20
    try:
        if path.stat().st_size > most_settings_bytes:
            raise UsageError(f"{path.name}: has more than {most_settings_bytes >> 20} MiB. Settings are a few lines.")
        return tomllib.loads(user_text(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no TOML, no UTF-8, a number of 5,000 digits
        raise UsageError(f"{path.name}: cannot be read ({error}). Mend it, or start elsewhere.") from error


def _checked(where: str, document: Mapping[str, Any], typed: Typed) -> dict[str, dict[str, Any]]:
    """Options by command; refuses commands and options that may not be set."""
    commands: dict[str, dict[str, Any]] = {}
    for command, table in _commands(where, document, typed):
        options = commands.setdefault(command, {})
        for key, value in table.items():
            name = key.replace("-", "_")
            if name not in _allowed()[command]:
                raise UsageError(f"{where}: {key!r} cannot be set for {command}.{_why_not(command, name, typed)}")
            options[name] = _value(f"{where}: {command}.{key}", name, value)
    return commands


def _why_not(command: str, name: str, typed: Typed) -> str:
    """Reason that an option cannot be set: it has to be typed, belongs to other commands, or does not exist."""
    options = typed(command) or {}
    others = [other for other, names in _allowed().items() if name in names]
    if name in options:
        return f" Give it on the command line: {options[name]}. (A folder may come from somebody else.)"
    if others:
        return f" It can be set for {', '.join(others)}."
    return nearest(name, _allowed()[command])


def _no_settings(word: str, typed: Typed) -> str:
    """Reason that there is no table of this name: it is an option, a command without settings, or nothing."""
    tables = [command for command, names in _allowed().items() if word.replace("-", "_") in names]
    if tables:
        return f" It is an option: write it below [{tables[0]}]."
    if typed(word) is not None:
        return f" Give its options on the command line. Commands with settings: {', '.join(_allowed())}."
    return nearest(word, _allowed())


def _commands(where: str, document: Mapping[str, Any], typed: Typed) -> list[tuple[str, Mapping[str, Any]]]:
    """Pairs of a command and its table: [eval], [data.generate]."""
    groups = {command.partition(".")[0] for command in _allowed() if "." in command}
    commands: list[tuple[str, Mapping[str, Any]]] = []
    for word, table in document.items():
        inner = table.items() if word in groups and isinstance(table, dict) else [("", table)]
        for rest, options in inner:
            command = f"{word}.{rest}" if rest else word
            if command not in _allowed():
                raise UsageError(f"{where}: there are no settings for {command!r}.{_no_settings(command, typed)}")
            if not isinstance(options, dict):
                raise UsageError(f"{where}: expected a table [{command}].")
            commands.append((command, options))
    return commands


def _value(where: str, name: str, value: Any) -> Any:
    """A value as the command line would give it."""
    from physbench.run.options import PATTERNS, Options

    if name == "tag":
        value = [value] if isinstance(value, str) else value
        if not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise UsageError(f"{where}: expected a text, or a list of them.")
        return value
    if not isinstance(value, str | int | float):
        raise UsageError(f"{where}: expected a text, a number, true or false.")
    if isinstance(getattr(Options, name, None), bool):  # the default of a switch
        if not isinstance(value, bool):
            raise UsageError(f"{where}: expected true or false.")
        return value
    if isinstance(value, bool):
        raise UsageError(f"{where}: expected a text or a number.")
    if name in PATTERNS:
        from physbench.support.plugins import names_files, split_pattern

        if any(names_files(part) for part in split_pattern(str(value))):
            raise UsageError(f"{where}: a file with code is named on the command line only.")
    return str(value)
