"""Settings of a run, and the command line that asks for it again."""

from __future__ import annotations

import shlex
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from physbench import evaluate
from physbench.run.options import OPTIONS, Options, parse_model_args
from physbench.support.errors import UsageError


def test_the_usual_settings_need_no_words() -> None:
    command = Options("reference:objects", suite="smoke").resume_command(Path("runs/a"))
    assert command == "physbench eval reference:objects --suite smoke --out runs/a --resume"


def test_the_resume_command_asks_for_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line makes of the printed command are the same options."""
    from physbench.cli import main
    from physbench.run import evaluate

    options = Options(
        "my models/net.py:factory",
        suite="smoke",
        model_arg={"size": "64", "text": "a b"},
        tasks="falling/*",
        scorers="drift/*",
        limit=3,
        device="cpu",
        batch_size=5,
        samples=2,
        seed=7,
        dtype="bfloat16",
        autocast="float16",
        compile=True,
        timeout=2.5,
        chain=False,
        keep_rollouts="all",
        workers=1,
        trust_code=True,
        privileged=True,
        fresh_seeds=3,
    )
    words = shlex.split(options.resume_command(Path("out dir")))
    asked = []

    def evaluate_instead(options: Options, **rest: object) -> None:
        asked.append((options, {name: value for name, value in rest.items() if name != "say"}))
        raise UsageError("enough")

    monkeypatch.setattr(evaluate, "evaluate", evaluate_instead)
    monkeypatch.setattr("physbench.cli.eval.refuse_early", lambda options: None)  # there is no such model
    assert words[0] == "physbench"
    assert main.run(words[1:]) == 2
    assert asked == [
        (options, {"out": Path("out dir"), "resume": True, "fresh": False, "debug": False, "settings": {}})
    ]


def test_python_has_the_settings_of_the_command_line_with_the_same_defaults() -> None:
    taken, usual = signature(evaluate).parameters, Options("m").document()
    assert OPTIONS.keys() - taken.keys() == {"clips", "shard", "executor", "address", "for_board"}
    for name in (OPTIONS.keys() & taken.keys()) - {"suite"}:
        default = taken[name].default
        assert (default or None) == (usual[name] or None), name


def test_a_command_line_without_options_asks_for_the_defaults() -> None:
    typed = {
        said.flag: usual if said.usual is ... else said.usual
        for said, usual in (
            (OPTIONS[name], usual) for name, usual in Options("m").document().items() if name in OPTIONS
        )
    }
    assert Options.typed("m", typed) == Options("m")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit": 0}, "--limit"),
        ({"fresh_seeds": 0}, "--fresh-seeds"),
        ({"fresh_seeds": 10**9}, "--fresh-seeds"),
        ({"samples": 0}, "--samples"),
        ({"batch_size": 0}, "--batch-size"),
        ({"workers": -1}, "--workers"),
        ({"timeout": 0.0}, "--timeout"),
        ({"timeout": float("inf")}, "--timeout"),
        ({"timeout": float("nan")}, "--timeout"),
        ({"dtype": "float31"}, "float32"),
        ({"autocast": "bfloat15"}, "--autocast.*bfloat16"),
        ({"keep_rollouts": "al"}, "all"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options("baseline:freeze", **changes).check()  # type: ignore[arg-type]


def test_model_args() -> None:
    assert parse_model_args(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    for bad in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UsageError, match="--model-arg"):
            parse_model_args(bad)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("reference:objects", "objects"),
        ("baseline:constant-velocity", "constant-velocity"),
        ("nets/mine.py:factory", "mine"),
        ("mine.py:factory", "mine"),
        ("checkpoints/best.safetensors", "best"),
        ("python:pkg.module:factory", "pkg.module"),
        ("saboteur:gravity:0.9", "gravity:0.9"),
    ],
)
def test_names_of_folders(target: str, name: str) -> None:
    assert Options(target).short_name == name


@pytest.mark.parametrize("ends", [{"budget": "2h"}, {"until": 0.05}])
def test_the_command_for_rollouts_has_no_option_of_eval_alone(ends: dict[str, Any]) -> None:
    command = Options("reference:objects", **ends).rollout_command(Path("runs/a"))
    assert command == "physbench rollout reference:objects --suite core --out runs/a --resume"


def test_lost_rollouts_of_a_run_for_a_board_are_made_again_by_rollout() -> None:
    """It has no --for-board; what that stands for is there."""
    command = Options("reference:objects", for_board=True, keep_rollouts="all").rollout_command(Path("runs/a"))
    assert "--for-board" not in command and "--keep-rollouts all" in command
