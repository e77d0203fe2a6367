"""Readers of files and messages from elsewhere, given what is nearly right: a line or two, or what was read.

A mutation changes bytes of a file or values of a document. In an archive it changes one member, and the archive is
written again; where a file carries its hash, that is computed again half of the time: what stands behind checksums is
reached too.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import resource
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from full_counts import SEED, asked, repeatable
from handmade import tracks_at, true_places
from made_graphs import save, stepped
from made_runs import SOURCES, make_manifest, make_rows, make_table, write_tables

from physbench.cli.settings_file import read_settings
from physbench.clips.clip import Clip, Row
from physbench.clips.conditioning import (
    Answer,
    Asked,
    ClipAsked,
    ClipFiles,
    ClipKey,
    ExportKey,
    SuiteAsked,
    read_file,
    read_key,
)
from physbench.clips.generate import make_clip
from physbench.clips.packed import PackedClips, pack_clips
from physbench.clips.suite import Suite, find_suite
from physbench.leaderboard.claim import read_claim
from physbench.leaderboard.rescoring import read_sent_tracks, read_sent_video
from physbench.leaderboard.submission import opened_submission, write_archive
from physbench.models.graph_card import graph_document
from physbench.models.http.model import HEAD_LENGTH, PROTOCOL, ShortAnswerError, parse_card, read_blocks
from physbench.models.load_model import check_target
from physbench.models.protocol import ModelCard, card_document
from physbench.models.safetensors_files import save_checkpoint
from physbench.models.videos.decode import decode_frames, probe_video
from physbench.models.videos.files import VideoSource, list_answers
from physbench.result.build import build_result
from physbench.result.document import read_result
from physbench.result.manifest import read_manifest
from physbench.result.read import read_scores
from physbench.rollout.messages import LoadedModel, MessageError, decode, encode
from physbench.rollout.store import write_video
from physbench.run.manifest import manifest_suite
from physbench.support.errors import PhysbenchError
from physbench.support.files import EMPTY_SEAL, SEAL_MARK, sealed, write_json
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import save_tracks
from physbench.world.scene import RenderSpec

CARD = ModelCard("a", (64, 64), 15.0, 8)
SPEC = RenderSpec(64, 64, 15)
ROW = Row("falling/projectile-v1", "test", 0)
MOST_MEMORY = 1 << 30  # bytes more than before, for files of kilobytes
MOST_SECONDS = 60  # that a file of kilobytes may take: what takes longer does not end
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1 << 31, 1 << 70, 0.5, -1e308, float("nan"), float("inf")),
    *("", "../../x", "\x00", "\u202e", "1" * 5000, [], {}, [[]], {"a": None}),
)
ODD_BYTES = (b"\x00", b"\xff", b"\x00" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", b"9" * 20, b"PK\x03\x04", b"[" * 300)


def places_in(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*at, key)
        yield from places_in(each, (*at, key))


def changed_document(content: bytes, rng: random.Random) -> bytes | None:
    """A document with another value in one place, or without one; None where it is none."""
    try:
        document = json.loads(content)
        *above, last = rng.choice(list(places_in(document)))
    except (ValueError, IndexError, RecursionError):
        return None
    owner = document
    for key in above:
        owner = owner[key]
    if rng.random() < 0.2:
        del owner[last]
    else:
        owner[last] = rng.choice(ODD_VALUES)
    return json.dumps(document).encode()


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """One to eight places changed."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(made) + 1)
        length = rng.choice((1, 4, 100))
        kind = rng.choice(("bit", "odd", "insert", "drop", "repeat", "move", "end"))
        if kind == "bit" and at < len(made):
            made[at] ^= 1 << rng.randrange(8)
        elif kind == "odd":
            odd = rng.choice(ODD_BYTES)
            made[at : at + len(odd)] = odd
        elif kind == "insert":
            made[at:at] = rng.randbytes(length)
        elif kind == "drop":
            del made[at : at + length]
        elif kind == "repeat":
            made[at:at] = made[at : at + length] * rng.choice((1, 50))
        elif kind == "move":
            other = rng.randrange(len(made) + 1)
            made[at : at + length] = made[other : other + length]
        elif kind == "end" and rng.random() < 0.3:
            del made[at:]
    return bytes(made)


def changed_member(content: bytes, rng: random.Random) -> bytes:
    """An archive with one member changed, twice, gone or under another name, and with right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(buffer, "w") as target:
        members = {item.filename: archive.read(item) for item in archive.infolist()}
        chosen, kind = rng.choice(list(members)), rng.choice(("inside",) * 8 + ("twice", "gone", "named"))
        for name, inside in members.items():
            if name != chosen or kind == "twice":
                target.writestr(name, inside)
            if name == chosen and kind == "named":
                target.writestr(rng.choice((" ", "../a", "a/b/c", "/a", "a" * 300)), inside)
            elif name == chosen and kind in ("inside", "twice"):
                target.writestr(name, mutated(inside, rng))
        target.comment = archive.comment
    return buffer.getvalue()


def with_hash(content: bytes) -> bytes:
    """A file with the hash that it carries computed again; itself where it carries none."""
    at = content.rfind(SEAL_MARK)
    if at < 0 or at + len(EMPTY_SEAL) > len(content):
        return content
    return sealed(content[:at] + EMPTY_SEAL + content[at + len(EMPTY_SEAL) :])


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A file as it may come from elsewhere: nearly right."""
    changed = None
    if zipfile.is_zipfile(io.BytesIO(content)) and rng.random() < 0.7:
        changed = changed_member(content, rng)
    elif rng.random() < 0.5:
        changed = changed_document(content, rng)
    changed = changed_bytes(content, rng) if changed is None else changed
    return with_hash(changed) if rng.random() < 0.5 else changed


@dataclass(frozen=True)
class Reader:
    """What reads a kind of files. `refuses`: what it may raise, besides what a user can mend."""

    samples: tuple[bytes, ...]
    name: str  # of a file of that kind
    read: Callable[[Path], object]
    refuses: tuple[type[Exception], ...] = ()


def answers(path: Path) -> None:
    """Look at all videos of a source, and decode them."""
    source = VideoSource(path)
    for entry in list_answers(source, ["a", "b"]).entries.values():
        info = probe_video(source, entry)
        for _ in decode_frames(source, entry, info):
            pass


def blocks(path: Path) -> None:
    with path.open("rb") as stream:
        for _ in read_blocks(stream, 2, 4, (8, 8), "http://localhost", str):
            pass


def claim(run: RunFolder) -> None:
    """What is read of a submission's manifest before anything is computed."""
    claimed = read_claim(run)
    claimed.suite, claimed.rows, claimed.checked_manifest()  # each may refuse


def submission(path: Path) -> None:
    with opened_submission(path) as sent:
        claim(sent)
        read_scores(sent)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def models(place: Path) -> Iterator[tuple[str, Reader]]:
    """Files that a user names as MODEL."""

    def check(path: Path) -> None:
        check_target(str(path))

    weights = {"net.weight": torch.zeros(3, 2), "net.bias": torch.zeros(2)}
    save_checkpoint(place / "a.safetensors", weights, architecture="simple", config={}, card=CARD, training={})
    torch.save(weights, place / "a.pt")  # of no architecture that is known
    torch.save(weights, place / "old.pt", _use_new_zipfile_serialization=False)
    pickles = tuple(pickle.dumps({"a": [1, "b", Path("c")]}, protocol) for protocol in (0, 1, 2, 4))
    program = {"a/archive_format": b"pt2", "a/extra/physbench.json": graph_document(CARD).encode()}
    yield "tensors", Reader(((place / "a.safetensors").read_bytes(),), "a.safetensors", check)
    yield "torch", Reader(((place / "a.pt").read_bytes(), (place / "old.pt").read_bytes()), "a.pt", check)
    yield "pickle", Reader(pickles, "a.pkl", check)
    yield "program", Reader((zipped(program),), "a.pt2", check)
    yield "onnx", Reader((save(stepped(), place / "a.onnx").read_bytes(),), "a.onnx", check)


def films(place: Path, clip: Clip) -> Iterator[tuple[str, Reader]]:
    """Videos, tracks and clips of other people."""
    import av

    frames = clip.frames[:6]
    write_video(place / "a.mkv", frames, 15.0)
    lossless = (place / "a.mkv").read_bytes()
    with av.open(str(place / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width = stream.height = 64
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    plain = (place / "a.mp4").read_bytes()
    picture = io.BytesIO()
    from PIL import Image

    Image.fromarray(frames[0]).save(picture, "PNG")
    pictures = {f"b/{number:04}.png": picture.getvalue() for number in range(2)}
    yield "video", Reader((plain,), "a.mp4", lambda path: answers(path.parent))
    yield "lossless video", Reader((lossless,), "a.mkv", lambda path: answers(path.parent))
    yield "videos in an archive", Reader((zipped({"a.mp4": plain, **pictures}),), "a.zip", answers)
    yield "sent video", Reader((lossless,), "a.mkv", lambda path: read_sent_video(path, frames.shape))
    save_tracks(place / "t.npz", tracks_at(clip, true_places(clip)))
    yield (
        "sent tracks",
        Reader(((place / "t.npz").read_bytes(),), "t.npz", lambda path: read_sent_tracks(path, clip, 8)),
    )
    small = RenderSpec(24, 32, 5)
    pack_clips(Suite("own", 1, (ROW,)), small, lambda row: make_clip(row, small), place / "a.clips")
    yield (
        "packed clips",
        Reader(((place / "a.clips").read_bytes(),), "a.clips", lambda path: PackedClips(path).get(ROW, small)),
    )


def made_run(place: Path) -> RunFolder:
    """A run of a few clips, with tables and a result."""
    run, rows, rng = RunFolder(place / "run"), make_rows(2, 1), np.random.default_rng(1)
    write_tables(run, {source: make_table(rows, source, rng) for source in SOURCES})
    write_json(run.manifest, make_manifest(rows))
    write_json(run.result, build_result(run, resamples=20).model_dump(mode="json"))
    return run


def claimed(place: Path) -> Path:
    """A manifest as a board takes it."""
    model = {"target": "toy.py:make", "name": CARD.name, "sha256": None, "args": {}, "card": card_document(CARD)}
    suite = {"suite": manifest_suite(find_suite("smoke")).model_dump(mode="json", exclude_unset=True)}
    write_json(place, make_manifest([], model=model) | suite)
    return place


def asked_videos() -> str:
    """A document beside videos, as an export wants it."""
    files = ClipFiles(image="x.png", prompt="x.txt")
    clip = ClipAsked(id="x", prompt="a ball", answer="x.mp4", seconds=4, frames=96, files=files, sha256={"x.png": "0"})
    suite = SuiteAsked(name="smoke", version=1, hash="0", partial=True)
    asked = Asked(physbench_version="1", suite=suite, width=64, height=64, fps=24, context_frames=1, clips=(clip,))
    return Answer(name="a", asked=asked).model_dump_json()


def documents(place: Path) -> Iterator[tuple[str, Reader]]:
    """What runs and boards consist of, and what programs of other people send."""
    run = made_run(place)
    manifest = claimed(place / "claimed.json")
    parts = {"manifest.json": manifest, "result.json": run.result, "scores.parquet": run.scores}
    write_archive(place / "s.zip", parts)

    def of_run(read: Callable[[RunFolder], object]) -> Callable[[Path], object]:
        return lambda path: read(RunFolder(path.parent))

    yield "manifest", Reader((run.manifest.read_bytes(),), "manifest.json", of_run(read_manifest))
    yield "claim", Reader((manifest.read_bytes(),), "manifest.json", of_run(claim))
    yield "result", Reader((run.result.read_bytes(),), "result.json", read_result)
    yield "scores", Reader((run.scores.read_bytes(),), "scores.parquet", of_run(read_scores))
    yield "submission", Reader(((place / "s.zip").read_bytes(),), "s.zip", submission)
    key = ExportKey(salt="a", clips={"x": ClipKey(task=ROW.task, split="test", seed=0, state_hash="0")})
    yield "key", Reader((key.model_dump_json().encode(),), "a.key.json", read_key)
    yield "answer", Reader((asked_videos().encode(),), "answer.json", read_file)
    settings = b'[eval]\nsuite = "smoke"\nworkers = 2\ntag = ["a"]\n[data.export]\nsize = "64"\n'
    yield "settings", Reader((settings,), "physbench.toml", lambda path: read_settings(path.parent))
    message = encode(LoadedModel(CARD, False, "cpu", "float32", "", 0, 0, notes=("a",)))
    yield "message", Reader((message,), "message", lambda path: decode(path.read_bytes()), (MessageError,))
    served = json.dumps({"protocol": PROTOCOL, "card": asdict(CARD)}).encode()
    yield "card", Reader((served,), "card", lambda path: parse_card(path.read_bytes(), "http://localhost"))
    head = json.dumps({"frames": 2}).encode()
    block = HEAD_LENGTH.pack(len(head)) + head + bytes(2 * 2 * 8 * 8 * 3)
    yield "blocks", Reader((block * 2,), "blocks", blocks, (ShortAnswerError,))


REFUSED = ("torch", "pickle", "program")  # may run code
READERS = (
    *("tensors", "torch", "pickle", "program", "onnx"),
    *("video", "lossless video", "videos in an archive", "sent video", "sent tracks", "packed clips"),
    *("manifest", "claim", "result", "scores", "submission", "key", "answer", "settings", "message", "card", "blocks"),
)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    place = tmp_path_factory.mktemp("samples")
    found = dict((*models(place), *films(place, make_clip(ROW, SPEC)), *documents(place)))
    assert tuple(found) == READERS
    return found


@contextmanager
def bounded() -> Iterator[None]:
    """What is done in here ends, and does not fill the memory."""

    def too_long(*_: object) -> None:
        raise AssertionError(f"not read within {MOST_SECONDS} s of processor time")

    before, plain = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, plain)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY >> 10, "it filled the memory"


def fuzz(reader: Reader, place: Path, mutations: int, start: int) -> int:
    """Read mutated files, a seed each. Returns how many were refused; what is raised otherwise is passed on."""
    refused = 0
    for seed in range(start, start + mutations):
        rng = random.Random(seed)
        path = place / str(seed) / reader.name
        path.parent.mkdir(parents=True)
        path.write_bytes(mutated(rng.choice(reader.samples), rng))
        with repeatable("FUZZ", seed), bounded():
            try:
                reader.read(path)
            except (PhysbenchError, *reader.refuses) as error:
                refused += 1
                assert len(str(error)) < 2000, "a line or two, not the document"
        path.unlink()
        path.parent.rmdir()
    return refused


@pytest.mark.parametrize("name", READERS)
def test_what_is_right_is_read_and_what_is_nearly_right_ends_in_words(
    readers: dict[str, Reader], name: str, tmp_path: Path
) -> None:
    for number, sample in enumerate(readers[name].samples):
        path = tmp_path / str(number) / readers[name].name
        path.parent.mkdir()
        path.write_bytes(sample)
        try:
            readers[name].read(path)
        except PhysbenchError:
            assert name in REFUSED
    fuzz(readers[name], tmp_path / "mutated", 10, 1)


FOUND = (
    *(
        ("torch", 231),
        ("torch", 1_000_573),
        ("pickle", 1_016_543),
        ("lossless video", 1023),
        ("sent video", 1_001_816),
        ("sent tracks", 5_000_538),
    ),
    *(("videos in an archive", seed) for seed in (115, 1_000_031, 1_002_569, 1_002_802, 1_008_893)),
    *(("packed clips", 222), ("packed clips", 1_000_109), ("packed clips", 5_107_004), ("scores", 250), ("key", 269)),
    *(("claim", 1_006_119), ("submission", 178), ("submission", 1_004_804)),
)


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of a zip file: that is one of the mutations
@pytest.mark.parametrize(("name", "seed"), FOUND)
def test_seeds_that_once_ended_otherwise_end_in_words(
    readers: dict[str, Reader], name: str, seed: int, tmp_path: Path
) -> None:
    fuzz(readers[name], tmp_path, 1, seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", READERS)
def test_whatever_is_read_ends_in_words(
    readers: dict[str, Reader], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mutations = asked("FUZZ", 5000)
    refused = fuzz(readers[name], tmp_path / "mutated", mutations, SEED)
    with capsys.disabled():
        print(f"{name}: {refused} of {mutations} mutations from seed {SEED} are refused, the rest is read")
    assert refused
