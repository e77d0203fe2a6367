"""The whole way with a model behind a server: a server that dies, and a run that goes on when it is there again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_servers import StartedServer, started

from physbench.cli.main import run
from physbench.run.manifest import file_hashes
from physbench.run.options import Options

MODEL = """\
import os
import numpy as np
card = {"name": "behind", "image_size": (64, 64), "fps": 10, "context_frames": 3}
calls = []

def rollout(context, horizon, actions, prompts, seeds):
    calls.append(1)
    if len(calls) == 3 and os.path.exists("crash"):
        os._exit(1)
    return np.repeat(context[:, -1:], horizon, 1)
"""


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("http://localhost:8800", "localhost-8800"),
        ("https://[::1]:8800/a/b", "1-8800-a-b"),
        ("http://example.org", "example.org"),
    ],
)
def test_names_of_run_folders(target: str, name: str) -> None:
    assert Options(target).short_name == name


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a run."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_server_that_dies_and_is_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, token_file = tmp_path / "run", tmp_path / "token"
    (tmp_path / "crash").touch()
    with started(tmp_path, MODEL, "--token-file", "token") as server:
        words = ["eval", server.url, "--suite", "smoke", "--tasks", "falling/projectile-v1", "--out", str(out)]
        words += ["--model-arg", f"token_file={token_file}", "--batch-size", "1", "--workers", "1", "--device", "cpu"]
        words += ["--scorers", "drift/accuracy"]
        assert run([*words, "--resume"]) == 0
    said = capsys.readouterr().err
    again = "2 rollouts failed as the server did not answer. Once it runs, repeat with:\n  physbench eval http://127"
    assert again in said and "--resume" in said
    assert said.startswith(f"Nothing to resume in {out}: starting.\n")
    result = json.loads((out / "result.json").read_text())
    assert result["counts"]["failed"] == 2 and result["model"]["sha256"] is None

    (tmp_path / "crash").unlink()
    for source, status in ((MODEL + "# another model\n", 2), (MODEL, 0)):
        (tmp_path / "my_model.py").write_text(source)
        before = contents(out)
        other = StartedServer(tmp_path, "my_model.py", "--token-file", "token", port=server.port)
        try:
            assert run([*words, "--resume"]) == status
        finally:
            other.stop()
        said = capsys.readouterr().err
        refused = "The model's file (sha256 as the server reports it) has changed.\nAsk for the same" in said
        assert refused == (status == 2) == (contents(out) == before)
        assert ("2 rollouts failed as the server did not answer: made again." in said) == (status == 0)
    assert "Resuming: 2 of 4 rollouts are scored." in said and "repeat with" not in said
    assert json.loads((out / "result.json").read_text())["counts"]["failed"] == 0

    manifest = json.loads((out / "manifest.json").read_text())
    assert len(manifest["model"]["reported_sha256"]) == 64 and manifest["model"]["files"] == {}
    token = token_file.read_text().strip().encode()
    assert not [path for path in out.rglob("*") if path.is_file() and token in path.read_bytes()]
    assert file_hashes({"token_file": str(token_file), "weights": str(token_file)}).keys() == {"weights"}
