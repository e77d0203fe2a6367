"""What a shell offers after Tab, asked as bash and zsh do."""

from __future__ import annotations

import pytest

from physbench.cli import main


def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What bash is offered after these words, the last of which is being typed; a line each, as its script sends."""
    monkeypatch.setenv("_PHYSBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(("physbench", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit) as left:
        main.run([])
    assert not left.value.code
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "some", "never"),
    [
        (("ev",), ("eval",), "export"),
        (("eval", ""), ("reference:objects", "baseline:freeze", "videos:"), "core"),
        (("eval", "refer"), ("reference:objects",), "baseline:freeze"),
        (("eval", "reference:objects", "--suite", ""), ("smoke", "core", "lite", "actions"), "reference:objects"),
        (("eval", "'two words'", "--suite", "sm"), ("smoke",), "core"),
        (("data", "generate", "--suite", "t"), ("train",), "smoke"),
        (("tasks", "show", "orb"), ("orbits/kepler-v1",), "falling/stack-v1"),
        (("eval", "x", "--tasks", "falling/*,orb"), ("falling/*,orbits/kepler-v1",), "orbits/kepler-v1"),
        (("models", "check", "base"), ("baseline:oracle",), "reference:objects"),
        (("train", ""), ("objects", "jepa", "simple"), "smoke"),
    ],
)
def test_names_are_offered(words, some, never, monkeypatch, capsys) -> None:
    found = offered(monkeypatch, capsys, *words)
    assert set(some) <= set(found) and never not in found


@pytest.mark.parametrize(
    "words", [("eval", "reference", ":"), ("eval", "reference", ":", "ob"), ("eval", "reference:", "ob")]
)
def test_bash_gets_what_follows_the_colon(words, monkeypatch, capsys) -> None:
    """pallets/click#1515: bash takes a colon for the end of a word, and the line became `bob:bob:`."""
    names = offered(monkeypatch, capsys, *words)
    assert "objects" in names and (len(names) == 1) == (words[-1] == "ob")
    monkeypatch.setenv("COMP_WORDS", "x")
    assert offered(monkeypatch, capsys, *words[:1], "baseline", ":", "freeze", "--suite", "sm") == ["smoke"]


def test_zsh_gets_colons_that_are_no_descriptions(monkeypatch, capsys) -> None:
    """fastapi/typer#162, pallets/click#2703: zsh took what follows a colon for the description."""
    monkeypatch.setenv("_PHYSBENCH_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "physbench eval reference:")
    with pytest.raises(SystemExit):
        main.run([])
    assert r"reference\\:objects" in capsys.readouterr().out


def test_runs_of_this_folder_are_offered(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a-1", "b-1"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "a-1" / "manifest.json").write_text("{}")
    assert offered(monkeypatch, capsys, "report", "ru") == ["runs/a-1"]
    assert offered(monkeypatch, capsys, "report", "elsewhere") == [], "the shell offers files"
