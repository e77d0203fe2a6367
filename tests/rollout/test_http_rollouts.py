"""Rollouts of a model behind a server, through the model's process: time-outs, memory, and a server that goes away."""

from __future__ import annotations

import time

import numpy as np
import pytest
from model_servers import blocks, raw_server, respond, started

from physbench.models.http.connection import NO_ANSWER
from physbench.models.http.serve_model import MEDIA_TYPE, pack_head
from physbench.rollout.batches import Batch, BatchItem
from physbench.rollout.engine import RolloutEngine
from physbench.support.errors import ModelError

pytestmark = pytest.mark.usefixtures("warm_models")

# The same model twice: as a function on arrays, and on tensors in process.
MODEL = """\
import numpy as np
card = {"name": "toy", "image_size": (32, 40), "fps": 10, "context_frames": 3, "max_horizon": 7, "stochastic": True}

def rollout(context, horizon, actions, prompts, seeds):
    noise = [np.random.default_rng(seed).integers(0, 20, (horizon, 32, 40, 3)) for seed in seeds]
    return ((context[:, -1:] + np.stack(noise)) % 256).astype(np.uint8)
"""
IN_PROCESS = """\
import torch
from my_model import card, rollout
from physbench import ModelCard

class Model:
    card = ModelCard(**card)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        seeds = [int(torch.randint(2**53, (), generator=generator)) for generator in generators]
        levels = context.mul(255).round().byte().permute(0, 1, 3, 4, 2).numpy()
        return torch.from_numpy(rollout(levels, horizon, None, prompts, seeds)).permute(0, 1, 4, 2, 3) / 255

def make(*, device, dtype):
    return Model()
"""


@pytest.fixture
def plan(clips, clip_maker):
    """Batches of these sizes."""

    def make(*sizes: int) -> list[Batch]:
        batches = []
        for size in sizes:
            made = [clip_maker(len(clips) + number) for number in range(size)]
            clips.add(*made)
            batches.append(Batch(tuple(BatchItem(clip.row) for clip in made), 12))
        return batches

    return make


def test_frames_equal_those_in_process(tmp_path, plan, clips) -> None:
    """Also where a short model is continued, with other noise in each call."""
    batches = plan(3, 2)
    with started(tmp_path, MODEL) as server:
        (tmp_path / "in_process.py").write_text(IN_PROCESS)
        found = []
        for target in (server.url, f"{tmp_path / 'in_process.py'}:make"):
            with RolloutEngine(target, device="cpu", threads=1) as engine:
                found.append([rollout for result in engine.run(batches, clips.load) for rollout in result])
                assert engine.info.reported_sha256 is not None or target != server.url
    for served, own in zip(*found, strict=True):
        assert served.failure is None and served.chained == 2 and len(served.frames) == 12
        assert np.array_equal(served.frames, own.frames)
        assert not np.array_equal(served.frames[6], served.frames[-1])


def rolled(url: str, batches: list[Batch], clips, **options) -> tuple[list[str | None], RolloutEngine]:
    with RolloutEngine(url, device="cpu", threads=1, **options) as engine:
        return [one.failure for result in engine.run(batches, clips.load) for one in result], engine


@pytest.mark.slow
def test_a_server_that_hangs_costs_one_batch(plan, clips) -> None:
    """After the first batch its calls are answered again."""

    def answer(connection, path, body):
        count = sum(first.startswith("POST") for first, _, _ in server.requests)
        if count == 1:
            time.sleep(60)
        connection.sendall(respond(blocks(2, 12), kind=MEDIA_TYPE))

    with raw_server(rollout=answer) as server:
        failures, engine = rolled(server.url, plan(2, 2), clips, timeout=5)
    assert failures == ["The model took longer than 5 s (--timeout)."] * 2 + [None] * 2
    assert [event.kind for event in engine.events] == ["timeout"]


@pytest.mark.slow
def test_a_server_that_drips_is_ended_by_the_time_out(plan, clips) -> None:
    def drip(connection, path, body):
        connection.sendall(respond(b"", length=10**9, kind=MEDIA_TYPE) + pack_head({"frames": 12}))
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    with raw_server(rollout=drip) as server:
        failures, _ = rolled(server.url, plan(1), clips, timeout=1)
    assert failures == ["The model took longer than 1 s (--timeout)."]


@pytest.mark.slow
def test_a_server_that_dies_fails_the_rest_at_once(plan, clips) -> None:
    def answer(connection, path, body):
        if sum(first.startswith("POST") for first, _, _ in server.requests) == 1:
            return connection.sendall(respond(blocks(2, 12), kind=MEDIA_TYPE))
        connection.sendall(respond(blocks(2, 5), length=10**6, kind=MEDIA_TYPE))
        server.close()
        return False

    with raw_server(rollout=answer) as server:
        begun = time.monotonic()
        failures, engine = rolled(server.url, plan(2, 2, 2, 2), clips, timeout=100)
        assert time.monotonic() - begun < 90  # one time-out would take longer
    assert failures[:2] == [None, None]
    assert all("No answer from" in str(failure) and "nothing listens there" in str(failure) for failure in failures[2:])
    assert [(event.kind, event.batch) for event in engine.events] == [("retried", 1)]
    assert engine.events[0].detail == f"No answer from {server.url}: the connection was lost after 5 of 12 frames."


@pytest.mark.slow
def test_full_memory_of_the_server_halves_batches(plan, clips) -> None:
    def answer(connection, path, body):
        count = 2 if b'"batch": 2' in body[:200] else 4
        full = respond(b'{"error": "out of memory", "kind": "memory"}', "500 E")
        return connection.sendall(full if count == 4 else respond(blocks(2, 12), kind=MEDIA_TYPE))

    with raw_server(rollout=answer) as server:
        failures, engine = rolled(server.url, plan(4, 2), clips)
    assert failures == [None] * 6
    assert [(event.kind, event.part_size) for event in engine.events] == [("halved", 2)]


@pytest.mark.slow
def test_wrong_frames_are_not_asked_for_again(plan, clips) -> None:
    with raw_server(rollout=respond(blocks(4, 12) + b"x", kind=MEDIA_TYPE)) as server:
        failures, engine = rolled(server.url, plan(4), clips)
        assert sum(first.startswith("POST") for first, _, _ in server.requests) == 1
    assert all(f"{server.url} sends more than the 12 frames that were asked for." in str(each) for each in failures)
    assert len(failures) == 4 and not engine.events


@pytest.mark.slow
def test_an_answer_that_is_too_short_is_no_outage(plan, clips) -> None:
    with raw_server(rollout=respond(blocks(2, 11), kind=MEDIA_TYPE)) as server:
        failures, _ = rolled(server.url, plan(2), clips)
    assert all("the answer ended after 84,480 of 92,160 bytes" in str(each) for each in failures)
    assert not any(NO_ANSWER in str(each) for each in failures)


def test_a_server_that_is_not_there_is_told_at_the_start() -> None:
    with raw_server() as server:
        pass
    with pytest.raises(ModelError, match=r"nothing listens there\.\nStart it there: python serve_model\.py"):
        RolloutEngine(server.url, device="cpu").start()
