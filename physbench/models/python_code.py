"""Models from Python code: `path/to/file.py:factory` and `python:package.module:factory`.

Code that the user names may run. A factory takes `device` and `dtype` and returns a model with a card.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from physbench.models.adapter import Adapter, describe_missing_path
from physbench.models.protocol import Model
from physbench.models.safetensors_files import state_dict_words
from physbench.support.errors import ModelError, PhysbenchError, nearest
from physbench.support.plugins import describe_error, sources_hash

if TYPE_CHECKING:
    import torch

# Converts --model-arg key=value into the keyword arguments of a factory.

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def convert_argument(text: str, kind: Any, key: str) -> Any:
    """Convert a value from the command line.

    Args:
        kind: Annotation of the parameter, or the type of its default: bool, int, float or Path; others mean str.
        key: Name of the parameter, for the message.

    Raises ModelError: the text is not a value of this kind.
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
        given: Values of --model-arg, by name.
        where: The function as the user named it, for messages.

    Raises ModelError: an argument is unknown, missing or of the wrong kind.
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
    harness_arguments = ("device", "dtype")  # which the harness passes itself
    missing = [name for name in harness_arguments if name not in named and not takes_any]
    if missing:
        raise ModelError(
            f"{where} does not take {' and '.join(missing)}: expected `def {getattr(factory, '__name__', 'factory')}"
            "(*, device, dtype)`, further arguments after them."
        )
    user_arguments = [name for name in named if name not in harness_arguments]
    arguments: dict[str, Any] = {}
    for key, text in given.items():
        if key in harness_arguments:
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
            raise _no_such_argument(key, where, user_arguments)
    needed = [
        name for name in user_arguments if named[name].default is inspect.Parameter.empty and name not in arguments
    ]
    if needed:
        raise ModelError(f"{where} needs " + " ".join(f"--model-arg {name}=VALUE" for name in needed) + ".")
    return arguments


def _no_such_argument(key: str, where: str, names: Sequence[str]) -> ModelError:
    hint = nearest(key, names) or " It takes none."
    return ModelError(f"--model-arg {key}: {where} has no argument of that name.{hint}")


FILE = re.compile(r"(?:file:)?(.+?\.py)(?::(.*))?", re.DOTALL)


def _build(
    find: Callable[[], Any], where: str, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]
) -> Model:
    """Find and call the factory. Every error in it becomes a ModelError with the line of the user's code."""
    try:
        factory = find()
        if not callable(factory):
            raise ModelError(f"{where} is a {type(factory).__name__}, not a function that makes a model.")
        arguments = factory_arguments(factory, model_args, where)
        model: Model = factory(device=device, dtype=dtype, **arguments)
        return model
    except PhysbenchError:
        raise
    except (Exception, SystemExit) as error:
        words = state_dict_words(error)
        raise ModelError(f"{where} failed: {describe_error(error)}{chr(10) if words else ''}{words}") from error


def _member(module: ModuleType, name: str, where: str) -> Any:
    if not hasattr(module, name):
        defined_here = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__ and not key.startswith("_")
        ]
        raise ModelError(f"{where}: there is no '{name}' in it.{nearest(name, defined_here)}")
    return getattr(module, name)


def _proposal(path: Path, tree: ast.Module) -> str:
    """A target, and which functions and classes of a file can make a model; if none can, what a factory takes."""
    named = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"]
    fit = [node.name for node in named if _can_make(node)]
    if fit:
        return f"{path}:{fit[-1]}." + (f" It defines {', '.join(fit)}." if len(fit) > 1 else "")
    if not named:
        return f"{path}:make."
    return (
        f"{path}:make. None of its functions takes device and dtype, as a factory does.\nA model behind HTTP is given "
        "as http://HOST:PORT, once `python serve_model.py my_model.py` runs (`physbench models serve-template`)."
    )


def _can_make(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """True if a function takes device and dtype. A class may have its arguments from elsewhere."""
    makers = [node] if isinstance(node, ast.FunctionDef) else []
    if isinstance(node, ast.ClassDef):
        makers = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        if not makers:
            return bool(node.bases or node.decorator_list)
    taken = makers[0].args
    names = {each.arg for each in (*taken.args, *taken.kwonlyargs)}
    return taken.kwarg is not None or {"device", "dtype"} <= names


def _written_arguments(tree: ast.Module, name: str) -> list[str] | None:
    """Arguments of a factory besides device and dtype, as its file has them; None where only running it would tell."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    named = [node for node in ast.walk(tree) if isinstance(node, kinds) and node.name == name]
    others = [
        node for node in ast.walk(tree) if isinstance(node, ast.alias) and (node.asname or node.name) in (name, "*")
    ]
    set_again = any(
        isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load) for node in ast.walk(tree)
    )
    if len(named) != 1 or named[0] not in tree.body or named[0].decorator_list or others or set_again:
        return None
    maker = named[0]
    if isinstance(maker, ast.ClassDef):
        initial = [node for node in maker.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        if len(initial) != 1 or initial[0].decorator_list or maker.keywords:
            return None
        (maker,) = initial
    taken = maker.args
    if taken.kwarg is not None:
        return None
    return [each.arg for each in (*taken.args, *taken.kwonlyargs) if each.arg not in ("self", "device", "dtype")]


def _check_written(path: Path, name: str, given: Iterable[str], where: str) -> None:
    """Raise ModelError for an argument that a factory lacks, as its file has it. Runs nothing."""
    names = _written_arguments(ast.parse(path.read_bytes(), str(path)), name)
    for key in given:
        if names is not None and key not in (*names, "device", "dtype"):
            raise _no_such_argument(key, where, names)


class FileAdapter(Adapter):
    """A factory in a Python file that nothing has installed."""

    name = "file"
    summary = "path/to/file.py:factory  a function of yours that makes a model"

    def recognises(self, target: str) -> bool:
        return FILE.fullmatch(target) is not None

    def _parse(self, target: str) -> tuple[Path, str]:
        match = FILE.fullmatch(target)
        if match is None:
            raise ModelError(f"Expected path/to/file.py:factory, got {target}.")
        return Path(match[1]), match[2] or ""

    def check(self, target: str) -> None:
        path, name = self._parse(target)
        if not path.is_file():
            raise ModelError(describe_missing_path(path) if not path.exists() else f"{path} is not a file.")
        try:
            tree = ast.parse(path.read_bytes(), str(path))
        except (SyntaxError, ValueError) as error:
            where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            raise ModelError(f"{path} is not valid Python{where}: {getattr(error, 'msg', error)}.") from None
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
        if name and not name.isidentifier():
            raise ModelError(f"Expected {path}:factory with the name of a function, got '{name}'.")
        if not name:
            raise ModelError(f"{path}: say which function makes the model, as in {_proposal(path, tree)}")

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        path, name = self._parse(target)
        _check_written(path, name, model_args, f"{path}:{name}")

    def sha256(self, target: str) -> str | None:
        return sources_hash(self._parse(target)[0])

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        path, name = self._parse(target)
        folder = str(path.resolve().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)  # the file can import what lies beside it, as a script can

        def find() -> Any:
            label = f"physbench_user_{path.stem}"
            spec = importlib.util.spec_from_file_location(label, path.resolve())
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[label] = module  # dataclasses look their module up
            spec.loader.exec_module(module)
            return _member(module, name, str(path))

        return _build(find, f"{path}:{name}", device, dtype, model_args)


class ModuleAdapter(Adapter):
    """A factory in an installed module, or in one below the current folder, whose code cannot be hashed."""

    name = "python"
    summary = "python:package.module:factory  a function of an installed module"

    def _parse(self, target: str) -> tuple[str, str]:
        parts = target.split(":")
        if len(parts) != 3 or not all(word.isidentifier() for word in [*parts[1].split("."), parts[2]]):
            raise ModelError(f"Expected python:package.module:factory, got {target}.")
        return parts[1], parts[2]

    def check(self, target: str) -> None:
        module = self._parse(target)[0]
        first = module.split(".")[0]
        here = Path.cwd() / first
        if importlib.util.find_spec(first) is None and not here.is_dir() and not here.with_suffix(".py").is_file():
            raise ModelError(
                f"{target}: there is no module '{first}', neither installed for {sys.executable} nor in this folder."
            )

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        module, name = self._parse(target)
        first, *others = module.split(".")
        found = importlib.util.find_spec(first)
        places = [str(Path.cwd() / first)]
        if found is not None:
            places = list(found.submodule_search_locations or [found.origin or ""])
        for place in places:
            path = Path(place).parent.joinpath(first, *others)
            written = next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None)
            if written is not None:
                with contextlib.suppress(SyntaxError, ValueError, OSError):  # the import will say so
                    _check_written(written, name, model_args, f"python:{module}:{name}")
                return

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        module, name = self._parse(target)
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        where = f"python:{module}:{name}"
        return _build(
            lambda: _member(importlib.import_module(module), name, f"python:{module}"), where, device, dtype, model_args
        )


file_adapter = FileAdapter()
module_adapter = ModuleAdapter()
