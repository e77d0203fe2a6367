"""The engine with one or two real processes. Toys do to each clip what its code says, so that one serves many cases."""

import contextlib
import os
import signal
import threading

import numpy as np
import psutil
import pytest

from physbench.rollout.batches import Batch, BatchItem
from physbench.rollout.device import find_device, find_dtype
from physbench.rollout.device_names import split_devices
from physbench.rollout.engine import DeviceGroup, RolloutEngine
from physbench.support.errors import ModelError, UsageError

pytestmark = pytest.mark.usefixtures("warm_models")


def faded(clip):
    """What the toy predicts for a clip with code OK."""
    last = clip.context(1)[0].astype(np.float64)
    fade = np.linspace(1, 0.5, clip.horizon)[:, None, None, None]
    return np.floor(last * fade + 0.5)


@pytest.fixture(scope="module")
def engine(toy_target):
    with RolloutEngine(toy_target("coded"), timeout=60, threads=1) as engine:
        yield engine


@pytest.fixture
def roll(engine, clips, clip_maker):
    """Roll out one batch after another, each a list of codes; returns the rollouts of all of them."""

    def run(*batches, horizon=12):
        plan = []
        for codes in batches:
            made = [clip_maker(len(clips) + k, code, horizon) for k, code in enumerate(codes)]
            clips.add(*made)
            plan.append(Batch(tuple(BatchItem(clip.row) for clip in made), horizon))
        del engine.events[:]
        engine.part_size = None
        return [rollout for result in engine.run(plan, clips.load) for rollout in result]

    return run


def close_to_truth(rollouts, clips):
    """Whether all rollouts are the toy's proper answer."""
    by_id = {clip.id: clip for clip in clips.values()}
    return all(np.abs(r.frames - faded(by_id[r.clip_id])).max() <= 1 for r in rollouts)


def test_frames_arrive_in_the_order_of_the_plan(roll, clips, toys) -> None:
    rollouts = roll([toys.OK] * 3, [toys.OK] * 2, [toys.OK])
    assert [rollout.clip_id for rollout in rollouts] == [clip.id for clip in clips.values()]
    assert all(rollout.frames.shape == (12, 32, 40, 3) and rollout.failure is None for rollout in rollouts)
    assert close_to_truth(rollouts, clips)
    assert all(rollout.seconds > 0 and rollout.chained == 1 for rollout in rollouts)


def test_bad_values_fail_the_clip_alone(roll, clips, toys) -> None:
    rollouts = roll([toys.OK, toys.NAN, toys.INF, toys.LEVELS, toys.SIGNED, toys.OK])
    words = [None, "frame 5 of 12 holds NaN", "frame 1 of 12 holds Inf", "divide by 255", r"(x + 1) / 2", None]
    for rollout, word in zip(rollouts, words, strict=True):
        assert (rollout.failure is None) if word is None else (word in rollout.failure)
    assert close_to_truth([rollouts[0], rollouts[5]], clips)
    assert [len(rollout.frames) for rollout in rollouts] == [12, 0, 0, 0, 0, 12]


def test_a_batch_that_raises_is_tried_clip_by_clip(roll, clips, toys, engine) -> None:
    rollouts = roll([toys.OK, toys.RAISE, toys.RAISE_IN_BATCH], [toys.QUIT], [toys.STOPPED], [toys.CANCELLED])
    assert [bool(rollout.failure) for rollout in rollouts] == [False, True, False, True, True, True]
    assert "ValueError in toys.py, line " in rollouts[1].failure and "does not like" in rollouts[1].failure
    assert "SystemExit" in rollouts[3].failure and "KeyboardInterrupt" in rollouts[4].failure
    assert "CancelledError" in rollouts[5].failure
    assert [(event.kind, len(event.clips)) for event in engine.events] == [("retried", 3)]
    assert close_to_truth([rollouts[0], rollouts[2]], clips)


def test_a_batch_that_hangs_is_ended_and_the_next_one_goes_on(roll, clips, toys, engine, monkeypatch) -> None:
    monkeypatch.setattr(engine, "timeout", 2.0)
    before = engine.pid
    rollouts = roll([toys.OK, toys.HANG], [toys.OK])
    assert [rollout.failure for rollout in rollouts] == ["The model took longer than 2 s (--timeout)."] * 2 + [None]
    assert [(event.kind, event.batch) for event in engine.events] == [("timeout", 0)]
    assert engine.pid not in (None, before)
    assert close_to_truth(rollouts[2:], clips)


def test_a_process_that_dies_fails_what_it_was_at(roll, clips, toys, engine) -> None:
    """The second batch raises first, so the clips behind the one that ends the process still get their turn."""
    rollouts = roll([toys.SEGFAULT, toys.OK], [toys.OK, toys.RAISE_IN_BATCH, toys.OK], [toys.EXIT], [toys.OK])
    failures = [rollout.failure or "" for rollout in rollouts]
    assert "was killed by SIGSEGV" in failures[0] and "was killed by SIGSEGV" in failures[1]
    assert failures[2:5] == ["", "", ""]
    assert "exited with code 3" in failures[5]
    assert failures[6] == ""
    assert close_to_truth([rollouts[k] for k in (2, 3, 4, 6)], clips)


@pytest.mark.slow
def test_a_lost_device_is_left_with_its_process(roll, clips, toys, engine) -> None:
    before = engine.pid
    rollouts = roll([toys.OK, toys.CUDA], [toys.OK])
    assert [rollout.failure is None for rollout in rollouts] == [True, False, True]
    assert "CUDA error: device-side assert triggered" in rollouts[1].failure
    assert [event.kind for event in engine.events] == ["retried", "died"]
    assert engine.pid != before


def test_full_memory_halves_batches_from_there_on(roll, clips, toys, engine) -> None:
    rollouts = roll([toys.FULL] * 5, [toys.OK] * 4, [toys.FULL_ALONE, toys.OK])
    assert [bool(rollout.failure) for rollout in rollouts] == [False] * 9 + [True, False]
    assert "Memory was full with a single clip" in rollouts[9].failure
    assert [(event.kind, event.batch, event.part_size) for event in engine.events] == [
        ("halved", 0, 3),
        ("halved", 0, 2),
        ("halved", 2, 1),
    ]
    assert engine.part_size == 1
    assert close_to_truth(rollouts[:9], clips)


def test_a_process_killed_by_the_system_gets_half_as_many(roll, clips, toys, engine) -> None:
    """Full main memory is seldom told to a program: the system ends it."""
    rollouts = roll([toys.KILLED] * 4, [toys.OK, toys.KILLED, toys.OK])
    assert [rollout.failure for rollout in rollouts] == [None] * 7
    assert [(event.kind, event.batch, event.part_size) for event in engine.events] == [
        ("restarted", 0, None),
        ("halved", 0, 2),
    ]
    assert "was killed by SIGKILL" in engine.events[0].detail
    assert close_to_truth(rollouts, clips)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("KILLED_ONCE", "SIGKILL (not for want of memory)"),
        pytest.param("TERMINATED_ONCE", "SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_part_that_a_kill_from_outside_ended_is_made_again_as_it_was(
    engine, clips, clip_maker, toys, code, said
) -> None:
    """A model's answer may depend on who shares its batch: one SIGKILL must not change who does.

    A scheduler that ends a job sends SIGTERM to each process of it: where this one is the first, no clip has failed.
    """
    clips.add(*(clip_maker(seed, getattr(toys, code)) for seed in range(4)))
    engine.events, engine.part_size = [], None
    [result] = list(
        engine.run(engine.plan(list(clips), batch_size=4, load=clips.load, horizon=clips.horizon), clips.load)
    )
    assert [rollout.failure for rollout in result] == [None] * 4
    assert result.together == (4, 4, 4, 4)
    assert [(event.kind, len(event.clips)) for event in engine.events] == [("restarted", 4)]
    assert f"was killed by {said}." in engine.events[0].detail


def test_sigint_to_the_model_is_left_to_the_command(engine, clips, clip_maker, toys) -> None:
    clips.add(*(clip_maker(seed, toys.INTERRUPTED) for seed in range(2)))
    engine.events = []
    [result] = list(
        engine.run(engine.plan(list(clips), batch_size=2, load=clips.load, horizon=clips.horizon), clips.load)
    )
    assert [rollout.failure for rollout in result] == [None] * 2 and not engine.events


def test_the_size_of_the_parts_of_a_batch_is_told(engine, clips, clip_maker, toys) -> None:
    clips.add(*(clip_maker(seed, toys.FULL) for seed in range(5)))
    engine.events, engine.part_size = [], None
    [result] = list(
        engine.run(engine.plan(list(clips), batch_size=5, load=clips.load, horizon=clips.horizon), clips.load)
    )
    assert result.together == (2, 2, 2, 2, 1)


def test_the_plan_groups_by_horizon_and_events_name_clips(engine, clips, clip_maker, toys) -> None:
    clips.add(*(clip_maker(seed, toys.OK, horizon=12 + seed % 2) for seed in range(6)))
    plan = engine.plan(list(clips), batch_size=2, samples=1, load=clips.load, horizon=clips.horizon)
    assert [(batch.horizon, len(batch.items)) for batch in plan] == [(12, 2), (12, 1), (13, 2), (13, 1)]


def test_the_probe_finds_a_batch_size_and_leaves_no_events(engine, clips, clip_maker, toys) -> None:
    clips.add(*(clip_maker(seed, toys.OK) for seed in range(40)))
    del engine.events[:]
    engine.part_size = None
    rows = list(clips)
    assert max(len(batch.items) for batch in engine.plan(rows, load=clips.load, horizon=clips.horizon)) in (1, 2, 4, 8)
    clips.add(*(clip_maker(seed, toys.RAISE_IN_BATCH) for seed in range(40)))
    plan = engine.plan(rows, load=clips.load, horizon=clips.horizon)
    assert max(len(batch.items) for batch in plan) == 1
    assert engine.events == []


@pytest.mark.slow
def test_a_caller_that_goes_away_leaves_a_usable_engine(engine, clips, clip_maker, toys) -> None:
    clips.add(*(clip_maker(seed, toys.OK) for seed in range(3)))
    plan = [Batch((BatchItem(row),), 12) for row in clips]
    for _ in engine.run(plan, clips.load):
        break
    results = list(engine.run(plan, clips.load, only=[2, 1]))
    assert [result.index for result in results] == [2, 1]
    assert all(rollout.failure is None for result in results for rollout in result)


def test_the_model_cannot_write_to_stdout(roll, toys, capfd) -> None:
    roll([toys.OK])
    assert capfd.readouterr().out == ""


def test_the_process_imports_neither_pybullet_nor_lpips(roll, toys) -> None:
    [rollout] = roll([toys.MODULES])
    assert rollout.failure.endswith("heavy: torch")


def test_answers_do_not_depend_on_batch_or_repetition(toy_target, clips, clip_maker) -> None:
    clips.add(*(clip_maker(seed) for seed in range(3)))
    rows = list(clips)
    with RolloutEngine(toy_target("noise"), threads=1, seed=7) as engine:

        def run(size, samples):
            plan = engine.plan(rows, batch_size=size, samples=samples, horizon=clips.horizon)
            rollouts = [rollout for result in engine.run(plan, clips.load) for rollout in result]
            return {(rollout.clip_id, rollout.sample): rollout.frames for rollout in rollouts}

        first, second = run(4, 2), run(1, 2)
    assert first.keys() == second.keys() and len(first) == 6
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert len({frames.tobytes() for frames in first.values()}) == 6


def test_models_start_warm_whatever_libraries_set(toy_target, monkeypatch) -> None:
    """Else every later test of the session waits for a new interpreter to import torch."""
    monkeypatch.setenv("SET_BY_A_LIBRARY", "1")
    with RolloutEngine(toy_target("noise"), threads=1) as engine:
        assert psutil.Process(engine.pid).ppid() != os.getpid()


@pytest.mark.parametrize(
    ("find", "name", "words"),
    [
        (find_device, "cuda:77", "--device cuda:77: torch .* sees .* here; try --device cpu"),
        (find_device, "gpu", "there is no 'gpu'"),
        (find_dtype, "float23", "Did you mean float"),
    ],
)
def test_wrong_devices_and_types_are_told_in_words(find, name, words) -> None:
    with pytest.raises(UsageError, match=words):
        find(name)


def test_a_model_that_cannot_be_loaded_is_told_in_words(toy_target) -> None:
    with pytest.raises(
        ModelError, match=r"--model-arg size: .*toys.py:coded has no argument of that name. It takes none"
    ):
        RolloutEngine(toy_target("coded"), model_args={"size": "3"}, threads=1).__enter__()


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
    "names", ["cuda:0,cpu", "auto,auto", "mps,mps", "cuda,cuda:0", "cuda:1,cuda:1", "cuda:0,", ",", "cpu,cud"]
)
def test_devices_that_cannot_work_together_are_refused(names: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        split_devices(names)
