"""A bit that flips in any file of a finished run, or of the cache, is found by who reads it, or changes nothing.

Silent is a reader that goes on with other values and says nothing.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from full_counts import SEED, asked, repeatable

from physbench.baselines.recorded_motion import read_motions, record_motion, write_motions
from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.store import ClipStore, CorruptError, StaleError, unpack
from physbench.result.document import ImpliedWorldResult, read_result
from physbench.result.findings import read_diagnosis, write_diagnosis
from physbench.result.manifest import read_manifest
from physbench.result.read import read_scores
from physbench.rollout.store import Rollout, load_rollout, store_rollout
from physbench.score.predictability import _stored
from physbench.score.protocol import read_part
from physbench.shadowing.shadow import load_trace
from physbench.support.errors import PhysbenchError
from physbench.support.files import DamagedFileError, cached, read_sealed, write_sealed_json
from physbench.support.run_folder import RunFolder, contents_of, other_contents
from physbench.track.tracks import load_tracks

SAID = object()  # the damage is named, or the file is made again, which is said


@dataclass(frozen=True)
class Kind:
    """Files that one reader reads. `read` returns their content, or SAID; what it raises is said."""

    paths: tuple[Path, ...]
    read: Callable[[Path], Any]


def plain(value: Any) -> Any:
    """A value of which two can be compared with np.testing.assert_equal."""
    if isinstance(value, pd.DataFrame):
        return {name: value[name].tolist() for name in value}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return {key: plain(each) for key, each in vars(value).items()} if hasattr(value, "__dict__") else value


def same(first: Any, second: Any) -> bool:
    try:
        np.testing.assert_equal(first, second)
    except AssertionError:
        return False
    return True


def whole(path: Path) -> bool:
    """Whether a file is what was written: other tests damage entries of this cache."""
    try:
        read_sealed(path)
    except DamagedFileError:
        return False
    return True


def or_said(value: Any) -> Any:
    return SAID if value is None else value


@pytest.fixture(scope="module")
def finished(toy_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with all kinds of files: a diagnosis, states and a pair beside what the toy has."""
    folder = RunFolder(tmp_path_factory.mktemp("flips") / "run")
    shutil.copytree(toy_run.path, folder.path)
    world = ImpliedWorldResult(
        clips=2,
        unexplained=0.5,
        verdict="no simple law",
        laws=[],
        share=0.0,
        interval=None,
        alike=[],
        ranking={"a": 0.1},
    )
    write_diagnosis(folder, {"falling": world})
    row = read_manifest(folder).rows[0]
    shutil.copy(folder.part(row.id), folder.path / "pairs.json")
    folder.pair(row.id).parent.mkdir()
    (folder.path / "pairs.json").rename(folder.pair(row.id))
    states = np.linspace(0, 1, 10 * 2 * 13).reshape(10, 2, 13)
    nothing = np.empty((0, 64, 64, 3), dtype=np.uint8)
    store_rollout(folder, Rollout("states", 0, nothing, None, 1, 0.1, states), 15)
    write_sealed_json(folder.manifest, {**read_manifest(folder).document(), "contents": contents_of(folder)})
    return folder


@pytest.fixture(scope="module")
def kinds(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    """Every kind of file with its reader."""
    manifest = read_manifest(finished)
    rows, spec, cache = manifest.rows, manifest.spec, Path(os.environ["PHYSBENCH_CACHE"])
    own = tmp_path_factory.mktemp("cache")
    store = ClipStore(own / "clips")
    for row in rows:
        store.get(row, spec)
    by_path = {store.path(row, spec): row for row in rows}

    def clip(path: Path) -> Any:
        found = unpack(path.read_bytes(), by_path[path], spec, make_scene(by_path[path]))
        return {name: getattr(found, name) for name in ("frames", "states", "visible_area", "full_area", "contacts")}

    def page(path: Path) -> Any:
        return SAID if other_contents(finished, manifest.contents) else path.read_bytes()

    def rollout(path: Path) -> Any:
        clip_id, _, sample = path.stem.rpartition(".")
        return or_said(load_rollout(finished, clip_id, int(sample)))

    def copied(folder: str, pattern: str, name: str) -> tuple[Path, ...]:
        found = sorted(path for path in (cache / folder).rglob("*.*") if re.fullmatch(pattern, path.name))
        found = [path for path in found if whole(path)][:20]
        assert found, folder
        places = [own / name / f"{number}-{path.name}" for number, path in enumerate(found)]
        for path, place in zip(found, places, strict=True):
            place.parent.mkdir(exist_ok=True)
            shutil.copy(path, place)
        return tuple(places)

    def of(pattern: str) -> tuple[Path, ...]:
        return tuple(sorted(finished.path.glob(pattern)))

    memory = own / "memory.npz"
    write_motions(memory, [record_motion(Row("falling/projectile-v1", "train", seed)) for seed in range(2)])
    predicted = (OSError, ValueError, KeyError, TypeError, RecursionError)

    def in_cache(load: Callable[[Path], Any], *damage: type[Exception]) -> Callable[[Path], Any]:
        return lambda path: or_said(cached(load, path, damage))

    return {
        "manifest": Kind((finished.manifest,), lambda path: read_manifest(finished)),
        "scores": Kind((finished.scores,), lambda path: read_scores(finished)),
        "scores of a reference": Kind(
            (finished.reference("truth").scores,), lambda path: read_scores(finished.reference("truth"))
        ),
        "result": Kind((finished.result,), lambda path: read_result(path).model_dump(mode="json")),
        "diagnosis": Kind((finished.diagnosis,), lambda path: read_diagnosis(finished).worlds["falling"].model_dump()),
        "parts": Kind((*of("parts/*.json"), *of("references/*/parts/*.json")), lambda path: or_said(read_part(path))),
        "pairs": Kind(of("pairs/*.json"), lambda path: or_said(read_part(path))),
        "tracks": Kind((*of("tracks/*.npz"), *of("references/*/tracks/*.npz")), load_tracks),
        "traces": Kind((*of("traces/*.npz"), *of("references/*/traces/*.npz")), load_trace),
        "videos": Kind(of("rollouts/*.mkv"), rollout),
        "notes of rollouts": Kind(of("rollouts/*.json"), rollout),
        "states": Kind(of("rollouts/*.npz"), rollout),
        "page": Kind((finished.report,), page),
        "clips": Kind(tuple(by_path), clip),
        "cached tracks": Kind(copied("references", r".+(?<!\.trace)\.npz", "t"), in_cache(load_tracks, PhysbenchError)),
        "cached traces": Kind(copied("references", r".+\.trace\.npz", "x"), in_cache(load_trace, PhysbenchError)),
        "cached parts": Kind(copied("references", r".+\.json", "p"), lambda path: or_said(read_part(path))),
        "predictability": Kind(copied("predictability", r".+\.json", "y"), in_cache(_stored, *predicted)),
        "memory": Kind((memory,), lambda path: [vars(each) for each in read_motions(path)]),
    }


def flip(kinds: dict[str, Kind], flips: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Flip bits, one at a time, a seed each; what came of it, and what was silent."""
    came, silent = Counter[str](), []
    for each in range(seed, seed + flips):
        rng, name = random.Random(each), list(kinds)[each % len(kinds)]
        path = rng.choice(kinds[name].paths)
        whole = path.read_bytes()
        expected = plain(kinds[name].read(path))
        assert expected is not SAID, (name, path)
        bit = rng.randrange(8 * len(whole))
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            with repeatable("FLIPS", each):
                found = kinds[name].read(path)
        except (PhysbenchError, CorruptError, StaleError):
            found = SAID
        finally:
            path.write_bytes(whole)
        if found is SAID:
            came["said"] += 1
        elif same(plain(found), expected):
            came["the same"] += 1
        else:
            silent.append(f"seed {each}: bit {bit} of {path}, {name}")
    return came, silent


def test_no_flipped_bit_is_silent(kinds: dict[str, Kind]) -> None:
    came, silent = flip(kinds, 4 * len(kinds), 1)
    assert silent == [] and came["said"] > 3 * len(kinds), (came, silent)


@pytest.mark.slow
def test_no_flipped_bit_of_a_thousand_is_silent(kinds: dict[str, Kind], capsys: pytest.CaptureFixture[str]) -> None:
    flips = asked("FLIPS", 1000)
    came, silent = flip(kinds, flips, SEED)
    with capsys.disabled():
        print(f"{flips} flips from seed {SEED}: {dict(came)}")
    assert silent == [] and came["said"] > 0.8 * flips - len(kinds), (came, silent)
