"""A model's process that writes what it likes: its clips fail with a line, others do not, and nothing of it runs."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.rollout.batches import Batch, BatchItem, item_seed
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.in_process import InProcessEngine
from physbench.support.errors import ModelError

pytestmark = pytest.mark.usefixtures("warm_models")

FILE = Path(__file__).with_name("hostile.py")


@pytest.fixture(scope="module")
def hostile():
    spec = importlib.util.spec_from_file_location("hostile", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def roll(clips, clip_maker):
    """Roll out one clip a batch, with these codes."""

    def run(engine, codes):
        made = [clip_maker(len(clips) + k, code) for k, code in enumerate(codes)]
        clips.add(*made)
        plan = [Batch((BatchItem(clip.row),), clip.horizon) for clip in made]
        return [rollout for result in engine.run(plan, clips.load) for rollout in result]

    return run


def open_engine(factory, **arguments):
    settings = {name: arguments.pop(name) for name in ("timeout", "salt", "privileged") if name in arguments}
    return RolloutEngine(f"{FILE}:{factory}", model_args=arguments, threads=1, device="cpu", **settings)


@pytest.mark.parametrize(
    ("attack", "words"),
    others_slow(
        [
            ("PICKLE", "The model's process sent no message of a known kind."),
            ("GIGABYTE", "The model's process sent a message of more than 1 MiB."),
            ("FEW_FRAMES", "The model's process sent 11 frames of 12 for a clip."),
            ("HALF", "The model took longer than 4 s (--timeout)."),
            ("PUT_OFF", "The model took longer than 4 s (--timeout)."),
            ("SHRINK", "hostile.py"),
        ],
        1,
    ),
)
def test_what_is_no_message_fails_its_clip_and_runs_nothing(roll, hostile, tmp_path, attack, words) -> None:
    mark = tmp_path / "mark"
    with open_engine("attacking", mark=str(mark), timeout=4) as engine:
        broken, following = roll(engine, [getattr(hostile, attack), hostile.OK])
    assert broken.failure is not None and words in broken.failure
    assert following.failure is None and len(following.frames) == 12
    assert not mark.exists(), "a pickle of the process was read"


@pytest.mark.parametrize(
    ("factory", "arguments", "words"),
    [
        ("asks_for_clips", {"how": "clips"}, "asks for clips that it may not be handed"),
        pytest.param(
            "asks_for_clips", {"how": "ids"}, "asks for clips that it may not be handed", marks=pytest.mark.slow
        ),
        pytest.param("starts_at_once", {}, "sent a PartStarted before the model", marks=pytest.mark.slow),
        ("seer", {}, r"hostile.py:seer: Seer.rollout_clips is handed whole clips.*--privileged"),
    ],
)
def test_a_process_that_asks_for_clips_is_refused(factory, arguments, words) -> None:
    with pytest.raises(ModelError, match=words), open_engine(factory, **arguments):
        pass


@pytest.mark.slow
def test_a_model_keeps_its_card_when_it_is_loaded_again(roll, hostile, tmp_path) -> None:
    with open_engine("changed_card", mark=str(tmp_path / "mark"), timeout=4) as engine:
        rollouts = roll(engine, [hostile.GARBAGE, hostile.OK])
    assert "more than 1 MiB" in rollouts[0].failure
    assert "its card is another one than before" in rollouts[1].failure


@pytest.mark.slow
def test_a_privileged_model_of_ones_own_is_asked_for_by_name(roll, clips, hostile) -> None:
    with open_engine("seer", privileged=True) as engine:
        [rollout] = roll(engine, [hostile.OK])
    assert np.array_equal(rollout.frames, next(iter(clips.values())).future())
    with pytest.raises(ModelError, match="--privileged"):
        InProcessEngine(hostile.Seer())
    assert InProcessEngine(hostile.Seer(), privileged=True).info.privileged


def test_a_play_beside_a_rollout_is_not_told_the_clip(roll, hostile) -> None:
    with InProcessEngine(hostile.Player()) as engine:
        assert not engine.info.recorded
        [rollout] = roll(engine, [hostile.OK])
    assert rollout.failure is None and (rollout.frames == 128).all()


@pytest.mark.usefixtures("cold_models")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_the_process_is_told_neither_clips_nor_where_they_are(roll, clips, hostile, tmp_path, monkeypatch) -> None:
    cache, mark, tasks = tmp_path / "cache", tmp_path / "seen.json", tmp_path / "my_tasks.py"
    monkeypatch.setenv("PHYSBENCH_CACHE", str(cache))
    monkeypatch.setenv("PHYSBENCH_TASK_FILES", str(tasks))
    (cache / "clips").mkdir(parents=True)
    descriptor = os.open(cache / "clips", os.O_RDONLY)  # the parent's own, which the process must not inherit
    try:
        with open_engine("curious", mark=str(mark), salt="salt") as engine:
            roll(engine, [hostile.OK])
    finally:
        os.close(descriptor)
    [row] = clips
    seen = json.loads(mark.read_text())
    text = json.dumps({**seen, "held": [each for each in seen["held"] if str(mark) not in each]})
    for secret in (str(cache), str(tasks), row.id, row.task):
        assert secret not in text
    assert len(seen["descriptors"]) <= 6, seen["descriptors"]
    assert seen["seeds"] == [item_seed(row, 0, 0, "salt")] != [item_seed(row, 0, 0)]
