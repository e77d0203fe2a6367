"""Two model processes as one engine: the same answers, also where one of them dies or the caller stops."""

import contextlib
import os
import signal
import threading

import numpy as np
import pytest

from physbench.rollout.batches import Batch, BatchItem
from physbench.rollout.device_names import split_devices
from physbench.rollout.engine import DeviceGroup, RolloutEngine
from physbench.support.errors import ModelError, UsageError

pytestmark = pytest.mark.usefixtures("warm_models")

BATCHES = 8
DIES_AND_LOADS_NO_MORE = """
import os
import time
from pathlib import Path
from physbench import ModelCard

class Model:
    card = ModelCard(name="mortal", context_frames=1, image_size=(32, 40), fps=10)

    def __init__(self, dies, refused):
        self.dies, self.refused = dies, refused

    def rollout(self, context, *, horizon, actions, prompts, generators):
        if self.dies:
            os._exit(3)
        if not self.refused.exists():  # the other one shall not have done all batches before the device is lost
            while not self.refused.exists():
                time.sleep(0.02)
            time.sleep(1)
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)

def make(*, device, dtype, folder):
    for number in range(2):  # the first process dies in its first batch; no third one can load the model
        try:
            Path(folder, str(number)).touch(exist_ok=False)
            return Model(number == 0, Path(folder, "refused"))
        except FileExistsError:
            pass
    Path(folder, "refused").touch()
    raise ValueError("there is no third one")
"""


@pytest.fixture
def plan(clips, clip_maker, toys):
    made = [clip_maker(number, toys.OK) for number in range(BATCHES)]
    clips.add(*made)
    return [Batch((BatchItem(clip.row),), 12) for clip in made]


@pytest.fixture(scope="module")
def group(toy_target):
    with DeviceGroup(("cpu", "cpu"), target=toy_target("coded"), timeout=120, threads=1) as group:
        yield group


def by_batch(results):
    """Frames of each batch, by its index; each is there once."""
    found = {result.index: result.rollouts[0] for result in results}
    assert sorted(found) == list(range(BATCHES))
    return [found[index] for index in range(BATCHES)]


def same(rollouts, others) -> bool:
    return all(
        a.failure is None and b.failure is None and np.array_equal(a.frames, b.frames)
        for a, b in zip(rollouts, others, strict=True)
    )


@pytest.fixture(scope="module")
def alone(toy_target):
    with RolloutEngine(toy_target("coded"), timeout=120, threads=1) as engine:
        yield engine


def test_answers_are_those_of_one_process(group, alone, plan, clips) -> None:
    results = list(group.run(plan, clips.load))
    assert len(results) == BATCHES
    assert same(by_batch(results), by_batch(alone.run(plan, clips.load)))
    assert group.info.device == "cpu,cpu" and group.info.card == alone.info.card


@pytest.mark.slow
def test_a_process_that_is_killed_costs_nothing(group, alone, plan, clips) -> None:
    found = []
    for result in group.run(plan, clips.load):
        found.append(result)
        if len(found) == 2:
            os.kill(group._engines[1].pid, signal.SIGKILL)
    assert same(by_batch(found), by_batch(alone.run(plan, clips.load)))


@pytest.mark.slow
def test_whoever_stops_can_begin_again(group, alone, plan, clips) -> None:
    """A process that starts again has no id yet (alexhawat/mergeCraft#277: what holds only on a quiet machine)."""
    before = {engine.pid for engine in group._engines} - {None}
    with contextlib.closing(group.run(plan, clips.load)) as results:
        next(results)
    assert not before & {engine.pid for engine in group._engines}
    assert same(by_batch(group.run(plan, clips.load)), by_batch(alone.run(plan, clips.load)))


@pytest.mark.slow
def test_what_a_clip_raises_reaches_the_caller(group, plan, clips) -> None:
    def load(row):
        if row.seed == 5:
            raise OSError("no such clip")
        return clips.load(row)

    with pytest.raises(OSError, match="no such clip"):
        list(group.run(plan, load))
    assert len(list(group.run(plan[:5], clips.load))) == 5


def test_whoever_stops_waits_for_no_further_clip(group, plan, clips) -> None:
    """A clip may take half a minute, and a batch has many."""
    loaded, may_load = [], threading.Event()
    may_load.set()

    def load(row):
        loaded.append(row)
        assert may_load.wait(60)
        return clips.load(row)

    whole = [Batch(tuple(BatchItem(row) for row in clips), 12)] * 4  # of 8 clips
    with contextlib.closing(group.run(whole, load)) as results:
        next(results)
        may_load.clear()
        begun = len(loaded)
        threading.Timer(0.3, may_load.set).start()
    assert len(loaded) <= begun + 2


def test_batches_of_a_device_that_is_lost_go_to_the_others(tmp_path, plan, clips) -> None:
    code, loads = tmp_path / "mortal.py", tmp_path / "loads"
    code.write_text(DIES_AND_LOADS_NO_MORE)
    loads.mkdir()
    arguments = {"model_args": {"folder": str(loads)}, "timeout": 120, "threads": 1}
    with DeviceGroup(("cpu", "cpu"), target=f"{code}:make", **arguments) as group:
        rollouts = by_batch(group.run(plan, clips.load))
    failed = [rollout for rollout in rollouts if rollout.failure]
    assert any("was lost, and the others do its batches" in note and "no third one" in note for note in group.notes)
    assert len(failed) == 1 and "exited with code 3" in failed[0].failure  # which that process had begun


@pytest.mark.slow
def test_a_model_that_one_process_cannot_load_is_refused(toy_target) -> None:
    with (
        pytest.raises((ModelError, UsageError), match="--device cuda:77"),
        DeviceGroup(("cpu", "cuda:77"), target=toy_target("coded"), timeout=120),
    ):
        raise AssertionError("it was loaded")


@pytest.mark.parametrize(
    ("names", "devices"),
    [("auto", ("auto",)), ("cuda:0, cuda:1", ("cuda:0", "cuda:1")), ("cpu,cpu", ("cpu", "cpu")), ("mps", ("mps",))],
)
def test_devices_are_separated_by_commas(names: str, devices: tuple[str, ...]) -> None:
    assert split_devices(names) == devices


@pytest.mark.parametrize(
    "names", ["cuda:0,cpu", "auto,auto", "mps,mps", "cuda,cuda:0", "cuda:1,cuda:1", "cuda:0,", ","]
)
def test_devices_that_cannot_work_together_are_refused(names: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        split_devices(names)
