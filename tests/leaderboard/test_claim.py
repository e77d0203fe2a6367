"""Manifests from elsewhere: only what is checked is taken over, and no file that they name is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_board import with_changed_document

from physbench.clips.conditioning import EXPORTED_ACTIONS
from physbench.leaderboard.check_tables import check_clips
from physbench.leaderboard.claim import read_claim
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

Change = Callable[[dict], None]


def test_a_claim_is_read_and_written_without_what_is_not_checked(tiny_copy: RunFolder, tmp_path: Path) -> None:
    with_changed_document(tiny_copy.manifest, lambda d: d.update(notes=["<b>"], settings_file={"file": "/home/me"}))
    claim = read_claim(tiny_copy)
    document = claim.checked_manifest().document()
    assert not {"notes", "settings_file", "files"} & set(document)
    copy = RunFolder(tmp_path / "again")
    copy.path.mkdir()
    copy.manifest.write_text(json.dumps(document))
    assert read_claim(copy).checked_manifest().document() == document
    assert check_clips(claim).outcome == check_clips(read_claim(copy)).outcome == "passed"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("suite"), "suite: Field required"),
        (lambda d: d.update(schema_version=99), "schema_version"),
        (lambda d: d["options"].update(samples=0), "options.samples"),
        (lambda d: d["options"].update(samples=10**9), "options.samples"),
        (lambda d: d["suite"].update(rows="all"), "suite.rows"),
        (lambda d: d["suite"]["rows"][0].update(seed=2**60), "suite.rows.0.seed"),
        (lambda d: d["model"].update(name="other"), "called 'other', on its card"),
        (lambda d: d["model"]["card"].update(name="a\x1b[31mb"), "the card is none"),
        (lambda d: d["model"]["card"].update(image_size=[64]), "the card is none"),
        (lambda d: d["model"]["card"].update(image_size=[10**9, 64]), "the card is none"),
        (lambda d: d["model"]["card"].update(fps=None), "the card is none"),
        (lambda d: d["model"]["card"].update(track="first"), "expected track to be one of"),
        (lambda d: d["model"]["card"].update(more=1), "the card is none"),
        (lambda d: d["model"]["card"].update(answers="surprise", unit="nats"), "its surprise at films, which no board"),
        (lambda d: d["model"].update(target="a\u202eb"), "printable characters"),
        (lambda d: d.update(device="\x1b]0;x"), "printable characters"),
        (lambda d: d.update(context=3), "3 context frames, and 8 by the card"),
        (lambda d: d["speed"].update(model_seconds=-1), "speed"),
    ],
)
def test_manifests_that_are_none_are_named(tiny_copy: RunFolder, change: Change, said: str) -> None:
    with_changed_document(tiny_copy.manifest, change)
    with pytest.raises(UsageError, match=r"manifest\.json: ") as error:
        read_claim(tiny_copy)
    assert said in str(error.value)


@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000, '{"a": NaN}', "\x00"])
def test_documents_that_are_none_are_named(tiny_copy: RunFolder, content: str) -> None:
    tiny_copy.manifest.write_text(content)
    with pytest.raises(UsageError, match=r"manifest\.json"):
        read_claim(tiny_copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["suite"].update(name="fresh-core"), "on fresh seeds"),
        (lambda d: d["suite"].update(name="own-core"), "do not come with physbench"),
        (lambda d: d["suite"].update(name="train"), "there is no suite named"),
        (lambda d: d["options"].update(tasks="evil.py"), "do not come with physbench"),
        (lambda d: d["options"].update(tasks="nothing*"), "nothing"),
        (lambda d: d["suite"].update(version=1), "this physbench has core"),
        (lambda d: d["suite"].update(hash="0" * 64), "the hash of the suite is"),
        (lambda d: d["suite"].update(local=True), "marked local"),
        (lambda d: d["suite"]["rows"].pop(), "got 3: orbits.kepler-v1.test.0 is missing"),
        (lambda d: d["suite"]["rows"][0].update(seed=7), "got 4: collisions.head-on-v1.test.7 is not one of them"),
        (lambda d: d["suite"]["rows"].reverse(), "another order"),
        (lambda d: d["suite"]["rows"].append(d["suite"]["rows"][0]), "got 5"),
    ],
)
def test_other_clips_than_those_of_the_suite_fail(
    tiny_copy: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, said: str
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('it was run')")
    monkeypatch.chdir(tmp_path)
    with_changed_document(tiny_copy.manifest, change)
    verdict = check_clips(read_claim(tiny_copy))
    assert verdict.outcome == "failed" and said in verdict.detail


@pytest.mark.parametrize("name", ["actions", "prompts"])
def test_a_run_with_actions_or_prompts_of_its_own_is_refused(tiny_copy: RunFolder, name: str) -> None:
    with_changed_document(tiny_copy.manifest, lambda d: d["options"].update({name: "/home/me/mine"}))
    verdict = check_clips(read_claim(tiny_copy))
    assert verdict.outcome == "failed"
    assert f"{name} of a file of its own (--{name}), which no board ranks" in verdict.detail


def test_videos_for_an_export_with_actions_of_its_own_are_refused(tiny_copy: RunFolder) -> None:
    with_changed_document(
        tiny_copy.manifest, lambda d: d["model"].update(settings={EXPORTED_ACTIONS: "none, left, right"})
    )
    verdict = check_clips(read_claim(tiny_copy))
    assert verdict.outcome == "failed" and "(data export --actions), which no board ranks" in verdict.detail
