"""Plans of batches, and `--prompts FILE`: sentences reach the model clip by clip, or are refused in a line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from physbench.clips.clip import Row
from physbench.clips.suite import find_suite
from physbench.rollout.batches import check_prompts, item_seed, plan_batches, read_prompts
from physbench.rollout.in_process import InProcessEngine
from physbench.run.manifest import first_difference, requested_manifest, requested_suite
from physbench.run.options import Options
from physbench.support.errors import UsageError

SENTENCES = {"toy.disc-v1.test.0": "A disc glides.", "toy.disc-v1.test.1": 'It says "ö", and rolls.'}
ROWS = tuple(Row("toy/disc-v1", "test", seed) for seed in range(2))


def written(folder: Path, text: str | bytes) -> str:
    file = folder / "prompts"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(file)


FORMS = {
    "JSON": json.dumps(SENTENCES),
    "JSON lines": "\n".join(json.dumps({"clip": clip, "prompt": text}) for clip, text in SENTENCES.items()),
    "CSV": 'prompt,clip\nA disc glides.,toy.disc-v1.test.0\n"It says ""ö"", and rolls.",toy.disc-v1.test.1\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_say_the_same(tmp_path: Path, form: str) -> None:
    assert read_prompts(written(tmp_path, FORMS[form])) == SENTENCES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no column clip"),
        ("clip,words\na,b\n", "there is no column prompt"),
        ("clip,prompt\na\n", "line 2: expected the id of a clip and a sentence"),
        ("clip,prompt\na,b\na,c\n", "line 3: a has a sentence already"),
        ('{"a": 1}', "a: expected the id of a clip and a sentence"),
        ('{"a": " "}', "a: expected the id of a clip and a sentence"),
        ('{"clip": "a", "prompt": "b"}\n{"clip": "a"', "line 2 is none of these"),
        ('{"clip": "a", "text": "b"}\n{}', "line 1 is none of these"),
        (json.dumps({"a": "b" * 10_001}), "at most 10,000 characters"),
        (b"\xff\xfe\x00\xd8", "UTF-8"),
    ],
)
def test_files_that_are_none_are_refused_in_a_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_prompts(written(tmp_path, text))
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1
    with pytest.raises(UsageError, match=r"^--prompts .*gone: No such file"):
        read_prompts(str(tmp_path / "gone"))


def test_every_clip_has_a_sentence_and_no_other_has() -> None:
    check_prompts("p.json", SENTENCES, ROWS, ())
    check_prompts("p.json", SENTENCES, ROWS[:1], ROWS)  # of a part of the suite
    with pytest.raises(UsageError, match=r"p\.json: 1 of 3 clips have no sentence, toy\.disc-v1\.test\.2 first\."):
        check_prompts("p.json", SENTENCES, (*ROWS, Row("toy/disc-v1", "test", 2)), ())
    with pytest.raises(
        UsageError, match=r"1 of 2 sentences are for clips .* first\. Did you mean toy\.disc-v1\.test\.0"
    ):
        check_prompts("p.json", SENTENCES, ROWS[:1], ())


class Reads:
    """Keeps the prompts that it is given."""

    def __init__(self, card) -> None:
        self.card, self.read = card, []

    def rollout(self, context, *, horizon, actions, prompts, generators):
        self.read += prompts
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


def test_a_model_reads_the_sentences_instead_of_the_tasks_prompts(clips, clip_maker, toys, tmp_path: Path) -> None:
    clips.add(clip_maker(0), clip_maker(1))
    file = written(tmp_path, FORMS["JSON"])
    model = Reads(toys.card(uses_prompt=True))
    with InProcessEngine(model, prompts=file) as engine:
        plan = engine.plan(list(clips), batch_size=2, load=clips.load, horizon=clips.horizon)
        assert not [r.failure for result in engine.run(plan, clips.load) for r in result.rollouts if r.failure]
    assert set(model.read) == set(SENTENCES.values())
    with pytest.raises(UsageError, match=r"^--prompts: \S+ reads no prompt"):
        InProcessEngine(Reads(toys.card()), prompts=file).__enter__()


def test_a_run_declares_the_file_and_goes_on_with_the_same(tmp_path: Path) -> None:
    suite = find_suite("smoke", limit=2)
    sentences = {row.id: "Something moves." for row in find_suite("smoke").rows}
    options = Options("baseline:freeze", suite="smoke", limit=2, prompts=written(tmp_path, json.dumps(sentences)))
    assert requested_suite(options)[0].rows == suite.rows
    stored = requested_manifest(options, suite, None, {})
    (named,) = stored.document()["files"]["prompts"]
    assert named["path"] == options.prompts and len(named["sha256"]) == 64
    assert stored.document()["options"]["prompts"] == options.prompts
    written(tmp_path, json.dumps(sentences | {suite.rows[0].id: "It falls."}))
    changed = first_difference(stored, requested_manifest(options, suite, None, {}))
    assert changed == f"The content of the file of --prompts ({options.prompts}) has changed"
    written(tmp_path, "{}")
    with pytest.raises(UsageError, match="2 of 2 clips have no sentence"):
        requested_suite(options)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"for_board": True}, "--for-board: .* Leave out --prompts"),
        ({"fresh_seeds": 4}, "no file can know clips that are drawn now"),
        ({"prompt_motion": True}, "--prompts: .* --prompt-motion"),
        ({"suite": "expectation"}, "films"),
        ({"executor": "ray"}, "--prompts: nodes of a cluster do not have the file"),
    ],
)
def test_what_sentences_cannot_be_had_with(more: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(Options("baseline:freeze", prompts="p.json"), **more).check()


@given(st.lists(st.integers(1, 3), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 3))
def test_a_plan_holds_every_item_once_and_one_horizon_a_batch(horizons: list[int], size: int, samples: int) -> None:
    rows = [Row("toy/disc-v1", "test", seed) for seed in range(len(horizons))]
    plan = plan_batches(rows, size, horizon=lambda row: horizons[row.seed], samples=samples)
    items = [item for batch in plan for item in batch.items]
    assert sorted((item.row.seed, item.sample) for item in items) == [
        (seed, sample) for seed in range(len(rows)) for sample in range(samples)
    ]
    for batch in plan:
        assert {horizons[item.row.seed] for item in batch.items} == {batch.horizon}
        assert 1 <= len(batch.items) <= size
    assert plan == plan_batches(rows, size, horizon=lambda row: horizons[row.seed], samples=samples)


def test_seeds_depend_on_clip_sample_and_run_and_on_nothing_else() -> None:
    rows = [Row("toy/disc-v1", "test", seed) for seed in (0, 1)]
    seeds = {item_seed(row, sample, run) for row in rows for sample in (0, 1) for run in (0, 1)}
    assert len(seeds) == 8
    assert item_seed(replace(rows[0], change="unpushed"), 1, 1) == item_seed(rows[0], 1, 1), "one noise for both"
    assert item_seed(Row("falling/projectile-v1", "test", 3), 0, 0) == 7341642799329224449
    assert all(0 <= seed < 2**63 for seed in seeds)
