"""The server of a model, in its process: the jobs that it is sent."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import queue
import threading

import pytest

from physbench.rollout import server


def test_a_message_that_cannot_be_read_is_an_error_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while an earlier job is done, which would be blamed; and a thread that died of it would leave all waiting."""

    def end() -> None:
        raise SystemExit

    monkeypatch.setattr(server, "end_with_parent", end)
    ours, theirs = multiprocessing.Pipe()
    receiver = object.__new__(server.JobReceiver)
    receiver.connection, receiver.queue = theirs, queue.SimpleQueue()

    def listen() -> None:
        with contextlib.suppress(SystemExit):
            receiver._listen()

    listening = threading.Thread(target=listen)
    listening.start()
    ours.send("a job")
    ours.send_bytes(b"no pickle")
    ours.send("another")
    assert receiver.get() == "a job"
    with pytest.raises(pickle.UnpicklingError):
        receiver.get()
    assert receiver.get() == "another"
    ours.close()
    listening.join(60)
