"""Words that a shell offers after Tab: suites, tasks, scorers, models and runs by name.

`physbench --install-completion` tells bash, zsh or fish to ask. Where nothing is offered, the shell offers files.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout

COMPLETING = "_PHYSBENCH_COMPLETE"  # set by the shell's script


def answer(program: Callable[[], object]) -> None:
    """Answer a shell that asks, and end. bash splits words at colons and puts in only what follows the last one."""
    before = _join_words_of_bash() if os.environ[COMPLETING].endswith("_bash") else ""
    code: str | int | None = 0
    with redirect_stdout(io.StringIO()) as captured:
        try:
            program()
        except SystemExit as leave:
            code = leave.code
    sys.stdout.write("".join(line.removeprefix(before) for line in captured.getvalue().splitlines(keepends=True)))
    sys.exit(code)


def _join_words_of_bash() -> str:
    """Join "reference : obj", as bash hands over "reference:obj", and return what of the last word it keeps."""
    typed, number = os.environ.get("COMP_WORDS", ""), int(os.environ.get("COMP_CWORD") or 0)
    between = "\n" if "\n" in typed else " "
    program, *rest = typed.split(between)[: number + 1]
    joined = [program]
    for word in rest:
        if word == ":" or joined[-1].endswith(":"):
            joined[-1] += word
        else:
            joined.append(word)
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = between.join(joined), str(len(joined) - 1)
    kept, colon, _ = joined[-1].rpartition(":")
    return kept + colon


def suite_names(incomplete: str) -> Iterable[str]:
    from physbench.clips.suite import GOLDEN_SUITES

    return _beginning(incomplete, GOLDEN_SUITES)


def clip_suites(incomplete: str) -> Iterable[str]:
    """Suites of clips, that of the reference models' training among them."""
    from physbench.clips.suite import EXPECTATION_SUITE, suite_names

    return _beginning(incomplete, [name for name in suite_names() if name != EXPECTATION_SUITE])


def task_names(incomplete: str) -> Iterable[str]:
    """Ids and families of tasks; of a list with commas, for its last part."""
    ids = _registered("physbench.tasks")
    return _last_of_list(incomplete, [*ids, *(f"{family}/*" for family in {each.partition("/")[0] for each in ids})])


def scorer_names(incomplete: str) -> Iterable[str]:
    return _last_of_list(incomplete, _registered("physbench.scorers"))


def model_names(incomplete: str) -> Iterable[str]:
    """Models with names, and the beginnings of the others. A checkpoint or a file with code is a path."""
    from physbench.support import plugins

    named = []
    for name in ("baseline", "reference", "saboteur"):  # adapters whose models have names
        if name.startswith(incomplete) or incomplete.startswith(f"{name}:"):
            named += [target for target, *_ in plugins.load("physbench.adapters", name).examples()]
    other_models = ("diffusers:", "http://", "https://", "python:", "transformers:", "videos:")
    return _beginning(incomplete, [*named, *other_models])


def architecture_names(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, _registered("physbench.architectures"))


def run_folders(incomplete: str) -> Iterable[str]:
    """Folders below ./runs with a run; nothing where another folder was begun."""
    from pathlib import Path

    return _beginning(incomplete, [str(path.parent) for path in sorted(Path("runs").glob("*/manifest.json"))])


def looks(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, ("plain", "natural", "natural:shutter=180,noise=1.5"))


def views(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, ("far", "near", "moving"))


def devices(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, ("auto", "cpu", "cuda", "mps"))


def dtypes(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, ("float32", "float16", "bfloat16"))


def autocast_types(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, ("float16", "bfloat16"))


def kept_rollouts(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, ("shown", "all", "none"))


def executors(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, ("local", "ray"))


def _registered(group: str) -> list[str]:
    from physbench.support import plugins

    return list(plugins.entries(group))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _last_of_list(incomplete: str, names: Iterable[str]) -> list[str]:
    first, comma, last = incomplete.rpartition(",")
    return [first + comma + name for name in _beginning(last, names)]
