"""Files appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from physbench.support.files import atomic_path, write_json, writer_lives


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a.txt"
    with atomic_path(path) as draft:
        draft.write_text("one")
        assert not path.exists() and draft.suffix == ".txt"
    with atomic_path(path) as draft:
        draft.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two" and list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": 2})
    assert path.read_text() == '{\n "b": 1,\n "a": 2\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    with pytest.raises(KeyError), atomic_path(path) as draft:
        draft.write_text("half")
        raise KeyError
    assert list(tmp_path.iterdir()) == [path] and path.read_text().startswith("{")


def test_a_draft_of_a_process_that_lives_is_at_work_whatever_the_clocks_say(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.json") as draft:
        assert writer_lives(draft)
        draft.touch()
    gone = subprocess.Popen(["true"])
    ended = tmp_path / f".{gone.pid}.a.json"
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    assert not writer_lives(ended), "nobody has waited for it"
    gone.wait()
    assert not writer_lives(ended)
    assert not writer_lives(tmp_path / ".x.json") and not writer_lives(tmp_path / f".{10**30}.a.json")
