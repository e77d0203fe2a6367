"""The workflows of the repository run its own scripts, and a release is what its tag says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = {"ci.yml": ".ci/run", "pages.yml": ".ci/site", "release.yml": ".ci/release"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_the_script_that_anybody_can_run(workflow: Path) -> None:
    script = SCRIPTS[workflow.name]
    assert re.search(rf"^ +- run: {re.escape(script)}\b", workflow.read_text(), re.MULTILINE)
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / script], check=False).returncode == 0


def test_a_release_states_where_it_comes_from() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert 'tags: ["v*"]' in text and "attest-build-provenance" in text and "attestations: write" in text
    assert "password" not in text.replace("no password is kept", "")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `.ci/release` looks at before it builds, of a version that is ready; `python` does nothing."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "release", tmp_path / ".ci")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "CITATION.cff").write_text("version: 1.2.3\n")
    (tmp_path / "CHANGELOG.md").write_text("## 1.2.3\n")
    (tmp_path / "python").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "python").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("tag", "change", "said"),
    [
        ("v1.2.3", {}, ""),
        ("v1.2.4", {}, "The tag v1.2.4 is not that of version 1.2.3 in pyproject.toml: v1.2.3."),
        ("1.2.3", {}, "is not that of version"),
        ("v1.2.3", {"CITATION.cff": "version: 1.2.2\n"}, "CITATION.cff names another version than 1.2.3."),
        ("v1.2.3", {"CHANGELOG.md": "## 1.2.3 (unreleased)\n"}, "CHANGELOG.md says that 1.2.3 is unreleased."),
    ],
)
def test_a_tag_names_the_version_that_is_ready(checkout: Path, tag: str, change: dict[str, str], said: str) -> None:
    for name, text in change.items():
        (checkout / name).write_text(text)
    environment = {**os.environ, "PATH": f"{checkout}{os.pathsep}{os.environ['PATH']}"}
    words = [checkout / ".ci" / "release", tag, checkout / "dist"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (not said) and said in done.stderr
