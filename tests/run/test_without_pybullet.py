"""A machine without PyBullet, and without what only scoring needs, rolls out on packed clips as any other does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from physbench.cli.main import run
from physbench.support.files import read_sealed_json
from physbench.support.run_folder import RunFolder

Words = Callable[..., tuple[str, ...]]
ROOT = Path(__file__).parents[2]
IMPORTED_AS = {"scikit-image": "skimage"}
# Loaded by every Python that is started with it on the path: the model's process too.
LACKING = """\
import importlib.metadata, sys
LACKED = {lacked!r}
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKED.values():
            raise ImportError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Lacking())
known = importlib.metadata.version
def version(name):
    if name in LACKED:
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
"""


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", each)[0] for each in requirements}  # type: ignore[index]


def lacked() -> dict[str, str]:
    """Packages that the documented install for rollouts leaves out, with the names under which they are imported."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    group, dependencies = document["dependency-groups"]["rollout"], document["project"]["dependencies"]
    assert set(group) < set(dependencies), "the same versions, and nothing that physbench does not need"
    left_out = names(dependencies) - names(group)
    return {name: IMPORTED_AS.get(name, name.replace("-", "_")) for name in left_out}


@pytest.fixture(scope="module")
def packed(stage_words: Words, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "four.clips"
    words = stage_words("pack", out)
    suite = words[words.index("--suite") + 1 : words.index("--batch-size")]
    assert run(("data", "pack", *suite, "--fps", "5", "--workers", "1", "--out", str(out))) == 0
    return out


@pytest.fixture(scope="module")
def rolled(
    packed: Path, stage_words: Words, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    """The run that such a machine leaves, its copy of the archive, and what the program said."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(LACKING.format(lacked=lacked()))
    place, out = folder / "archive.clips", folder / "rolled"
    shutil.copy(packed, place)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH")))),
        "PHYSBENCH_CACHE": str(folder / "cache"),
    }
    program = "import sys\ntry:\n import pybullet\nexcept ImportError: pass\nelse: sys.exit('pybullet is there')\n"
    program += "from physbench.cli.main import main; main()"
    command = [sys.executable, "-c", program, *stage_words("rollout", out, "--clips", str(place))]
    return out, place, subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_machine_without_pybullet_rolls_out(
    staged_run: RunFolder, rolled: tuple[Path, Path, subprocess.CompletedProcess[str]]
) -> None:
    """Its rollouts have the bytes of those of a whole evaluation."""
    assert "pybullet" in lacked()
    out, _, done = rolled
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n" and "Traceback" not in done.stderr
    videos = list((staged_run.path / "rollouts").glob("*.mkv"))
    assert videos
    for video in videos:
        assert (out / "rollouts" / video.name).read_bytes() == video.read_bytes()


@pytest.mark.slow
def test_its_rollouts_are_scored_elsewhere(
    staged_run: RunFolder,
    rolled: tuple[Path, Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the same archive, wherever it lies, to the bytes of a whole evaluation."""
    out, place, _ = rolled
    place.rename(tmp_path / "moved.clips")
    assert run(("score", str(out))) == 2
    assert "which is not there. Say where it is now: physbench score RUN --clips FILE" in capsys.readouterr().err
    assert run(("score", str(out), "--clips", str(tmp_path / "moved.clips"), "--workers", "1")) == 0
    for part in (staged_run.path / "parts").glob("*.json"):
        assert (out / "parts" / part.name).read_bytes() == part.read_bytes()
    (tmp_path / "moved.clips").rename(place)
    assert run(("finish", str(out), "--clips", str(place))) == 0
    assert (out / "scores.parquet").read_bytes() == staged_run.scores.read_bytes()
    manifest = read_sealed_json(out / "manifest.json")
    assert manifest["clips"]["file"] == str(place)
    assert manifest["versions"]["pybullet"] == read_sealed_json(staged_run.manifest)["versions"]["pybullet"]
    assert manifest["scored_with"]["scikit-image"] and not manifest["versions"]["scikit-image"]


def test_clips_of_another_look_come_with_the_command_that_packs_them(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a shard, too, whose folder has a name that no suite has."""
    words = ("--suite", "smoke", "--limit", "4", "--batch-size", "2", "--shard", "1/2", "--look", "natural")
    out = ("--out", str(tmp_path / "out"))
    assert run(("rollout", "baseline:freeze", *words, "--clips", str(packed), *out)) == 2
    command = "physbench data pack smoke --limit 4 --size 64 --fps 5 --look natural --out FILE"
    assert f"pack clips of that look: {command}\n" in capsys.readouterr().err


@pytest.mark.slow
def test_without_clips_it_says_what_to_do(stage_words: Words, tmp_path: Path, packed: Path) -> None:
    """Without an archive there is one clear error, from whichever command."""
    (tmp_path / "sitecustomize.py").write_text(LACKING.format(lacked={"pybullet": "pybullet"}))
    environment = {**os.environ, "PHYSBENCH_CACHE": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-c", "from physbench.cli.main import main; main()"]
    command += stage_words("rollout", tmp_path / "out")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "PyBullet cannot be imported" in done.stderr and "Traceback" not in done.stderr
