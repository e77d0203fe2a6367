"""Documents of 10,000 brackets within each other, at every reader of files from elsewhere: words, and no traceback."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from physbench.cli.settings_file import read_settings
from physbench.clips.clip import Row
from physbench.clips.conditioning import read_document as read_answer
from physbench.clips.conditioning import read_key
from physbench.clips.generate import make_scene
from physbench.clips.store import CorruptError, read_head
from physbench.leaderboard.claim import read_claim
from physbench.leaderboard.commitment import read_challenge, read_commitment
from physbench.leaderboard.entries import Entry
from physbench.models.graph_card import read_graph_document
from physbench.models.http.model import parse_card
from physbench.models.huggingface.diffusers_folder import read_json
from physbench.models.safetensors_files import read_header
from physbench.models.unrecognised import model_type
from physbench.result.document import read_result
from physbench.result.findings import is_diagnosed
from physbench.result.manifest import read_manifest
from physbench.result.read import summary
from physbench.rollout.store import load_rollout, read_states
from physbench.score.protocol import read_part
from physbench.support.errors import PhysbenchError
from physbench.support.files import EMPTY_SEAL, NOT_ARRAYS, write_sealed
from physbench.support.run_folder import RunFolder
from physbench.surprise.ask import read_part as read_films
from physbench.track.tracks import load_tracks
from physbench.world.scene import RenderSpec

ROW = Row("falling/projectile-v1", "test", 0)
DEPTH = 10_000
DOCUMENTS = {
    "lists": "[" * DEPTH + "]" * DEPTH,
    "objects": '{"a":' * DEPTH + "1" + "}" * DEPTH,
    "open": "[" * 100_000,
    "inside": '{"schema_version": 1, "card": ' + "[" * DEPTH + "]" * DEPTH + "}",
}


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def header_of_tensors(place: Path, text: str) -> object:
    path = place / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode())
    return read_header(path)


REFUSED: dict[str, Callable[[Path, str], object]] = {
    "manifest": lambda place, text: read_manifest(RunFolder(written(place / "manifest.json", text).parent)),
    "result": lambda place, text: read_result(written(place / "result.json", text)),
    "claim": lambda place, text: read_claim(RunFolder(written(place / "manifest.json", text).parent)),
    "commitment": lambda place, text: read_commitment(RunFolder(written(place / "commitment.json", text).parent)),
    "challenge": lambda place, text: read_challenge(written(place / "challenge.json", text)),
    "entry": lambda place, text: Entry(written(place / "about.json", text).parent).about,
    "answer of videos": lambda place, text: read_answer(text, "answer.json"),
    "key of an export": lambda place, text: read_key(written(place / "a.key.json", text)),
    "card of a graph": lambda place, text: read_graph_document(text, "a.onnx", "its metadata"),
    "card of a server": lambda place, text: parse_card(text.encode(), "http://localhost"),
    "pipeline": lambda place, text: read_json(written(place / "model_index.json", text)),
    "tensors": header_of_tensors,
    "settings": lambda place, text: read_settings(written(place / "physbench.toml", f"a = {text}").parent),
}
NOTHING: dict[str, Callable[[Path, str], object]] = {
    "part": lambda place, text: read_part(written(place / "part.json", text)),
    "films": lambda place, text: read_films(written(place / "part.json", text)),
    "rollout": lambda place, text: (
        written(RunFolder(place).rollout(ROW.id).with_suffix(".json"), text),
        load_rollout(RunFolder(place), ROW.id, 0),
    )[1],
    "diagnosis": lambda place, text: is_diagnosed(RunFolder(written(place / "diagnosis.json", text).parent)) or None,
    "predictor": lambda place, text: model_type(written(place / "config.json", text).parent),
}


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("reader", REFUSED)
def test_readers_name_what_is_nested_too_deeply(tmp_path: Path, reader: str, document: str) -> None:
    with pytest.raises(PhysbenchError) as raised:
        REFUSED[reader](tmp_path, DOCUMENTS[document])
    assert 20 < len(str(raised.value)) < 1000, "a line or two, not the document"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("reader", NOTHING)
def test_readers_of_what_is_made_again_take_it_for_damage(tmp_path: Path, reader: str, document: str) -> None:
    assert NOTHING[reader](tmp_path, DOCUMENTS[document]) is None


def test_a_list_of_runs_says_that_one_is_damaged(tmp_path: Path) -> None:
    written(tmp_path / "manifest.json", DOCUMENTS["lists"])
    assert summary(RunFolder(tmp_path)).state == "damaged"


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return buffer.getvalue()


def npy(head: str) -> bytes:
    """A file of NumPy with this text where its shape and type stand."""
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(head)) + head.encode()


BROKEN = {
    "brackets": "(" * 9000,
    "lists": "{'descr': " + "[" * 4000 + "]" * 4000 + "}",
    "text without an end": "'''",
    "indentation": "x\n  y\n z",
}


@pytest.mark.parametrize("head", BROKEN)
def test_heads_of_arrays_are_damage_too(tmp_path: Path, head: str) -> None:
    """NumPy reads them as Python text, and passes on what the reader of that text raises."""
    array = npy(BROKEN[head])
    content = archive({"head.npy": array, "checksum.npy": array, "times.npy": array})
    with pytest.raises(CorruptError):
        read_head(content, ROW, RenderSpec(64, 64, 15), make_scene(ROW))
    path = tmp_path / "tracks.npz"
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as target:
        target.comment = EMPTY_SEAL
    write_sealed(path, buffer.getvalue())  # with a hash that fits, as somebody writes it who knows how
    with pytest.raises(PhysbenchError):
        load_tracks(path)
    with pytest.raises(NOT_ARRAYS):
        read_states(path)
