"""The doctor says what is missing, with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from physbench.cli import doctor, main
from physbench.cli.doctor import CHECKS, HostFinding
from physbench.laws import kernels
from physbench.support.errors import PhysbenchError, UsageError


def test_everything_that_a_run_needs_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line[9:27].strip(): line[:8].strip() for line in lines if line[:8].strip()}
    assert set(found) == set(CHECKS)
    assert found["simulator"] in ("ok", "optional")
    may_lack = ("scorers", "simulator", "memory", "compiled functions", "natural look", "ray", "object stores")
    assert all(state == "ok" for name, state in found.items() if name not in may_lack)


def test_extras_that_are_missing_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise UsageError("pip install 'physbench[natural]'")

    monkeypatch.setattr("physbench.world.styles.catalogue.check_look", missing)
    monkeypatch.setattr(doctor, "library_version", lambda name: None)
    found = [CHECKS[name]() for name in ("natural look", "ray", "object stores")]
    assert [each.state for each in found] == ["optional"] * 3
    assert "physbench[remote]" in found[2].remedy and found[2].text == "fsspec and s3fs not installed"
    assert "physbench[natural]" in found[0].remedy and "physbench[ray]" in found[1].remedy


def test_what_is_missing_has_a_remedy_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raising(error: Exception) -> HostFinding:
        raise error

    checks = {
        "fine": lambda: HostFinding("fine", "ok", "1.0"),
        "weights": lambda: HostFinding("weights", "optional", "not here", "fetch them"),
        "broken": lambda: raising(OSError("cannot open")),
        "told": lambda: raising(PhysbenchError("Make one with train.")),
    }
    monkeypatch.setattr(doctor, "CHECKS", checks)
    assert main.run(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "OSError: cannot open" in said and "Make one with train." in said and "fetch them" in said
    monkeypatch.setattr(doctor, "CHECKS", {name: checks[name] for name in ("fine", "weights")})
    assert main.run(["doctor"]) == 0


def test_a_machine_on_which_nothing_is_compiled_is_told_and_made_warm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Cold:
        folder, kept = Path("kept"), False

        def load(self) -> bool:
            return self.kept

        def compile(self) -> bool:
            before, self.kept = self.kept, True
            return not before

    monkeypatch.setattr(kernels, "KERNELS", (Cold(), Cold()))
    monkeypatch.setattr(doctor, "CHECKS", {"compiled functions": CHECKS["compiled functions"]})
    assert main.run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("optional compiled functions 0 of 2") and "doctor --warm" in said
    assert main.run(["doctor", "--warm"]) == 0
    said = capsys.readouterr()
    assert "\nCompiled 2 in 0 s.\n" in said.err and said.out.startswith("ok       compiled functions 2 of 2")
    assert main.run(["doctor", "--warm"]) == 0
    assert "All are compiled already." in capsys.readouterr().err


def test_other_states_than_the_published_ones_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from physbench.clips import golden

    monkeypatch.setattr(golden, "compute_golden", lambda row: golden.Golden("other", {}))
    finding = CHECKS["simulator"]()
    assert finding.state == "optional" and "data verify" in finding.remedy
