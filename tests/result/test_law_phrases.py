"""What may be named as broken is declared beside the scorers, a user's own among them; roles name readings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from physbench.cli.main import run
from physbench.result.build import build_result
from physbench.result.findings import builtin_phrases, law_phrases, own_laws_document
from physbench.result.manifest import read_manifest
from physbench.score.protocol import Reading, ReadingRole, Scorer, scorer
from physbench.score.score_clip import builtin_scorers, find_scorers, reading_of
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

FALL = "falling/projectile-v1"
MINE = '''
from physbench.score.protocol import Reading, scorer


@scorer(id="own/height", version=1, axis=None, unit="px", better="neither", quality=None, noise_floor="0.1 px",
        source="formula", phrase={"": "height {}", "last": "last height {}"}, breaks_at=0.001)
def height(clip, rollout, tracks):
    """Mean height in the picture, and that in the last frame."""
    heights = tracks.position[tracks.context :, 0, 1]
    return {"": Reading(float(heights[:5].mean())), "last": Reading(float(heights[4]))}
'''


def declared(**more: object) -> Scorer:
    """A scorer with further declarations."""
    make = scorer(
        id="own/thing", version=1, axis=None, unit="m", better="lower", quality=None, noise_floor="", source="", **more
    )  # type: ignore[arg-type]
    return make(lambda clip, rollout, tracks: Reading(0.0))


@pytest.mark.slow
def test_a_scorer_of_ones_own_is_named_though_its_file_is_gone(tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine.py", tmp_path / "run"
    mine.write_text(MINE)
    words = [
        "eval",
        "baseline:constant-velocity",
        "--suite",
        "smoke",
        "--tasks",
        "projectile",
        "--limit",
        "4",
        "--no-diagnosis",
    ]
    assert run([*words, "--scorers", str(mine), "--out", str(folder)]) == 0
    mine.unlink()
    command = f"from physbench.cli.main import run; assert run(['report', {str(folder)!r}, '--json']) == 0"

    def first_to_break() -> str:
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        return next(
            said for said in json.loads(done.stdout)["sentences"] if said.startswith(("Worst in", "Clearest in"))
        )

    assert first_to_break().startswith("Worst in falling: height ")
    manifest = read_manifest(RunFolder(folder)).document()
    assert list(manifest["own_laws"]) == ["own/height", "own/height.last"]
    del manifest["own_laws"]  # a run of an older version
    write_json(RunFolder(folder).manifest, manifest)
    assert first_to_break().startswith("Worst in falling: gravity ")


def with_own(folder: RunFolder, law: dict[str, object]) -> RunFolder:
    """Give the run a law of its own that the model breaks in one task."""
    for place, value in ((folder, 3.0), (folder.reference("truth"), 1.0)):
        table = pd.read_parquet(place.scores)
        rows = table[table["reading"] == "laws/gravity"].assign(reading="own/swirl", value=value, unit="1/s")
        pd.concat([table, rows], ignore_index=True).to_parquet(place.scores)
    write_json(folder.manifest, {**read_manifest(folder).document(), "own_laws": {"own/swirl": law}})
    return folder


def test_what_is_farthest_over_its_threshold_is_named(make_run) -> None:
    law = {"phrase": "swirl s^{} here", "breaks_at": 0.01, "needs_constants": False}
    folder = with_own(make_run(tasks=(FALL,)), law)
    said = build_result(folder, resamples=50).sentences[1]
    assert said == "Worst in falling: swirl s^3.0 1/s [3.0, 3.0] here where the truth has s^1.0."
    assert "gravity" in build_result(folder, resamples=50, own_laws=False).sentences[1]
    folder = with_own(make_run(tasks=(FALL,), name="less"), {**law, "breaks_at": 100.0})
    assert "gravity" in build_result(folder, resamples=50).sentences[1]


def test_a_run_cannot_rename_what_comes_with_physbench() -> None:
    other = {"phrase": "all is well {}", "breaks_at": 1e-9, "needs_constants": False}
    assert law_phrases({"laws/gravity": other}) == dict(builtin_phrases())
    assert law_phrases({}) == dict(builtin_phrases())
    for damaged in (
        {"own/x": {"phrase": "x {}"}},
        {"own/x": {"phrase": "x", "breaks_at": 1, "needs_constants": False}},
    ):
        with pytest.raises(UsageError, match="own_laws cannot be read"):
            law_phrases(damaged)


def test_only_what_does_not_come_with_physbench_travels() -> None:
    assert own_laws_document(find_scorers()) == {}
    mine = declared(phrase={"": "thing {}", "most": "most {}"}, breaks_at=0.5, needs_constants=("most",))
    assert own_laws_document([*find_scorers("laws/*"), mine]) == {
        "own/thing": {"phrase": "thing {}", "breaks_at": 0.5, "needs_constants": False, "seen": ("", "")},
        "own/thing.most": {"phrase": "most {}", "breaks_at": 0.5, "needs_constants": True, "seen": ("", "")},
    }


def test_every_role_is_that_of_one_reading() -> None:
    roles = [role for each in builtin_scorers() for _, role in each.roles]
    assert sorted(roles) == sorted(get_args(ReadingRole))
    assert {reading_of(role).partition(".")[0] for role in roles} <= {each.id for each in find_scorers()}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"phrase": "thing", "breaks_at": 1.0}, "expected {} once"),
        ({"phrase": "thing {}", "breaks_at": 1.0, "seen": "too slow"}, "seen='too slow', expected two texts"),
        ({"phrase": "thing {}", "breaks_at": 1.0, "seen": {"most": ("", "")}}, "expected two texts beside a phrase"),
        ({"phrase": "{} of {}", "breaks_at": 1.0}, "expected {} once"),
        ({"phrase": "thing {}"}, "breaks_at=None, expected a number above 0"),
        ({"phrase": "thing {}", "breaks_at": 0.0}, "breaks_at=0.0, expected a number above 0"),
        ({"phrase": "thing {}", "breaks_at": "0.05"}, "breaks_at='0.05', expected a number above 0"),
        ({"phrase": "thing {}", "breaks_at": True}, "breaks_at=True, expected a number above 0"),
        ({"phrase": "thing {}", "breaks_at": float("inf")}, "breaks_at=inf, expected a number above 0"),
        ({"breaks_at": 0.05}, "breaks_at=0.05 without a phrase, expected one"),
        ({"phrase": 7, "breaks_at": 1.0}, 'phrase=7, expected text by key, as in "gravity {}"'),
        ({"phrase": {"": 7}, "breaks_at": 1.0}, "phrase={'': 7}, expected text by key"),
        ({"phrase": ("thing {}",), "breaks_at": 1.0}, "phrase=('thing {}',), expected text by key"),
        (
            {"phrase": {"": "thing {}", "most": "most {}"}, "breaks_at": 1.0, "needs_constants": ("last",)},
            "needs_constants='last', expected a key of phrase: '', 'most'",
        ),
        ({"needs_constants": ("",)}, "needs_constants='', expected a phrase with this key"),
        ({"needs_constants": 7}, "needs_constants=7, expected a name or a tuple of names"),
        ({"needs": 7}, "needs=7, expected a name or a tuple of names"),
        ({"needs": (7,)}, "needs=(7,), expected a name or a tuple of names"),
        ({"precheck": "nothing"}, "precheck='nothing', expected a function"),
        ({"roles": {"": "headline"}}, "roles='headline', expected one of 'lawfulness'"),
        ({"roles": "lawfulness"}, "roles='lawfulness', expected text by key"),
    ],
)
def test_a_wrong_declaration_is_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=rf"^@scorer own/thing: .*{re.escape(words)}.*$"):
        declared(**more)


def test_keys_of_declarations_are_names() -> None:
    phrases = {"": "thing {}", "most": "most {}"}
    one = declared(phrase=phrases, breaks_at=1, needs_constants="most", needs="tracks")
    assert (one.needs_constants, one.needs) == (("most",), ("tracks",))


@pytest.mark.slow
def test_a_phrase_of_a_reading_that_there_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused where the annotation tells it; `scorers check` says it where only the dict that is returned does."""
    mine = tmp_path / "mine.py"
    mine.write_text(MINE.replace("(clip, rollout, tracks):", "(clip, rollout, tracks) -> Reading:"))
    assert run(["scorers", "show", str(mine)]) == 2
    assert "@scorer own/height: phrase='last', but the function returns a Reading" in capsys.readouterr().err
    mine.write_text(MINE.replace('"last": "last', '"lest": "last'))
    few = ["--tasks", "projectile", "--violations", "hue:180", "--clips", "1", "--truths", "1", "--workers", "1"]
    asked = ["scorers", "check", "--scorers", f"{mine},laws/gravity", *few, "--out", str(tmp_path / "table.parquet")]
    assert run(asked) == 0
    said = capsys.readouterr().err
    assert "phrase of own/height names the reading 'lest', but it gave only own/height, own/height.last." in said
    assert "laws/gravity" not in said
