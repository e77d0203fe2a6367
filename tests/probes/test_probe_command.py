"""`physbench probe`: from an encoder in a file to tables, on clips of one task."""

from __future__ import annotations

from pathlib import Path

import pytest

from physbench.cli.main import run as cli
from physbench.probes.document import ProbeDocument, csv_table, markdown
from physbench.support.errors import UsageError

# Where something colourful is, in 8 x 8 cells, and where it was a frame ago.
ENCODER = """
import torch
from physbench import ModelCard

class Mine:
    card = ModelCard("mine", (64, 64), 15, 2)

    def encode(self, frames):
        colourful = frames.amax(-1).float() - frames.amin(-1).float()
        cells = colourful.unflatten(3, (8, 8)).unflatten(2, (8, 8)).mean((3, 5))  # (B, T, 8, 8)
        return torch.stack([cells, torch.cat([cells[:, :1], cells[:, :-1]], 1)], 2)

def make(*, device, dtype):
    return Mine()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    (folder / "mine.py").write_text(ENCODER)
    words = ["probe", f"{folder / 'mine.py'}:make", "--suite", "lite", "--tasks", "kepler", "--workers", "0"]
    outs = [word for end in ("json", "csv", "md") for word in ("--out", str(folder / f"found.{end}"))]
    assert cli([*words, *outs]) == 0
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> ProbeDocument:
    return ProbeDocument.model_validate_json((folder / "found.json").read_text())


def test_what_is_in_the_latents_is_read(found: ProbeDocument) -> None:
    position = next(each for each in found.readings if each.quantity == "position")
    assert position.scores["model"].r2 > 0.8 and position.clips == 8 and position.unit == "m"
    assert position.scores["model"].r2 > position.scores["pixels"].r2
    assert set(position.scores) == {"model", "pixels"}
    assert {each.task for each in found.forces} == {"orbits/kepler-v1"}
    truth = next(each for each in found.forces if each.read == "truth")
    assert truth.exponent is not None and abs(truth.exponent + 2) < 0.15
    assert next(each for each in found.forces if each.read == "pixels").reason


def test_the_document_says_what_was_read_and_what_not(found: ProbeDocument) -> None:
    assert (found.fitted_split, found.latents, found.moments_per_second) == ("test", "2 x 8 x 8", 15)
    assert found.features == {"model": 128, "pixels": 1536}
    (note,) = found.notes
    assert note.startswith("No untrained copy stands beside it: ") and "no network of torch" in note
    assert ("restitution", "all tasks", "it does not vary") in {
        (each.quantity, each.where, each.reason) for each in found.left_out
    }


def test_tables_hold_every_read_out(folder: Path, found: ProbeDocument) -> None:
    lines = (folder / "found.csv").read_text().splitlines()
    assert lines[0].startswith("quantity,unit,fitted_on,family,split,read,r2,low,high")
    assert len(lines) == 1 + sum(len(each.scores) for each in found.readings)
    assert (folder / "found.csv").read_text() == csv_table(found)
    text = (folder / "found.md").read_text()
    assert text == markdown(found) and "| orbits | position |" in text and "cannot be told" in text


def test_wrong_use_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"expected a name that ends in \.json, \.csv, \.md"):
        from physbench.cli.models import probe

        probe("reference:rssm", out=[tmp_path / "table.xlsx"])
    assert cli(["probe", "baseline:freeze", "--suite", "smoke"]) == 2
    said = capsys.readouterr().err
    assert "baseline:freeze has no encoder" in said and "Traceback" not in said
