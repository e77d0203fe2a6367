"""No model process stays behind, however the parent ends; one that writes what it likes fails its clips alone."""

import importlib.util
import json
import mmap
import os
import pickle
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.rollout import model_process
from physbench.rollout.batches import Batch, BatchItem, item_seed
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.in_process import InProcessEngine
from physbench.rollout.messages import BOUNDS, JobDone, encode
from physbench.rollout.model_process import ModelOutput, ModelProcess, ProcessDied, ReceiveTimeout, SharedMemory
from physbench.support.errors import ModelError

TOYS = Path(__file__).with_name("toys.py")
PARENT = f"""
import sys, time
from physbench.rollout.engine import RolloutEngine
engine = RolloutEngine({str(TOYS)!r} + ":coded", threads=1)
print(engine.start() and engine.pid, flush=True)
time.sleep(60)
"""


def start_parent() -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pid: int, within: float = 60) -> bool:
    deadline = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


STRAYS = """
import os, subprocess, sys, time
from pathlib import Path
from physbench.rollout.engine import RolloutEngine
engine = RolloutEngine({target!r}, threads=1, model_args={{"note": {note!r}}})
engine.start()
print(engine.pid, flush=True)
time.sleep(60)
"""
LEAVES = """
import os, subprocess, sys, torch
from physbench import ModelCard

class Leaves:
    card = ModelCard("leaves", (32, 40), 10, 3)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return context[:, -1:].repeat(1, horizon, 1, 1, 1)

def factory(*, device, dtype, note):
    # One in a session of its own, and one whose parent has ended besides.
    first = subprocess.Popen(["sleep", "300"], start_new_session=True).pid
    code = "import subprocess as s; print(s.Popen(['sleep', '301'], stdout=s.DEVNULL, start_new_session=True).pid)"
    second = subprocess.run([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True).stdout
    with open(note, "w") as file:
        file.write(f"{first} {second}")
    return Leaves()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sessions are those of POSIX")
@pytest.mark.parametrize("how", others_slow(["closed", "killed"], 1))
def test_the_process_and_what_the_model_has_started_in_sessions_of_its_own_end(how: str, tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text(LEAVES)
    target, note = f"{tmp_path / 'leaves.py'}:factory", tmp_path / "pids"
    if how == "closed":
        with RolloutEngine(target, threads=1, model_args={"note": str(note)}) as engine:
            assert engine.pid is not None
            family = [engine.pid, *(int(pid) for pid in note.read_text().split())]
            assert len(family) == 3 and all(is_alive(pid) for pid in family)
    else:
        code = STRAYS.format(target=target, note=str(note))
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        family = [int(parent.stdout.readline()), *(int(pid) for pid in note.read_text().split())]
        assert len(family) == 3 and all(is_alive(pid) for pid in family)
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert all(gone(pid) for pid in family)


def test_ctrl_c_ends_both_without_a_word_from_the_model() -> None:
    parent, child = start_parent()
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate(timeout=120)
    assert gone(child)
    assert "child.py" not in errors


def test_a_process_that_does_not_read_does_not_hold_the_parent_up() -> None:
    """A `send` that waited for its reader would never come back."""
    memory = SharedMemory()
    process = ModelProcess(memory)
    os.kill(process.pid, signal.SIGSTOP)
    process.send(bytes(50_000_000))
    with pytest.raises(ReceiveTimeout):
        process.receive(time.monotonic() + 0.1)
    process.kill()
    assert not is_alive(process.pid)
    with pytest.raises(OSError):
        process.receive(time.monotonic() + 0.1)
    memory.close()


@pytest.mark.skipif(not hasattr(mmap, "MADV_REMOVE"), reason="memory cannot be given back here")
def test_memory_that_was_read_is_given_back_between_whole_pages() -> None:
    memory, page = SharedMemory(), mmap.PAGESIZE
    memory.grow(8 * page)
    memory.view[:] = 7
    memory.release(page + 1, 3 * page)
    assert np.flatnonzero(memory.view == 0).tolist() == list(range(2 * page, 4 * page))
    memory.release(5 * page + 1, page)  # of two pages, neither is whole
    assert (memory.view[4 * page :] == 7).all()
    memory.grow(1 << 24)  # the system may hold some pages as a larger one, which stays whole
    memory.view[:] = 7
    before = os.fstat(memory.descriptor).st_blocks
    memory.release(1 << 22, 1 << 23)
    assert os.fstat(memory.descriptor).st_blocks < 0.6 * before
    memory.close()
    memory.release(0, page)


@pytest.fixture
def writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Start a process that writes pieces of bytes, one every 0.02 s, and receive its first message within 1 s."""
    memory = SharedMemory()
    processes = []

    def receive(*pieces: bytes):
        script = tmp_path / "writer"
        code = f"import os, sys, time\nfor piece in {list(pieces)!r}:\n"
        code += "    while piece:\n        piece = piece[os.write(int(sys.argv[4]), piece):]\n    time.sleep(0.02)\n"
        script.write_text(f"#!{sys.executable} -S\n{code}time.sleep(60)\n")
        script.chmod(0o700)
        with monkeypatch.context() as patch:
            patch.setattr(model_process.sys, "executable", str(script))
            processes.append(ModelProcess(memory))
        return processes[-1].receive(time.monotonic() + 1)

    yield receive
    for process in processes:
        process.kill()
    memory.close()


def framed(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


DONE = JobDone(3, 1, 2, 4, ("a note",))


def test_a_message_may_arrive_in_pieces(writing) -> None:
    whole = framed(encode(DONE))
    assert writing(whole[:2], whole[2:30], whole[30:] + whole[:9]) == DONE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (framed(pickle.dumps(DONE)), "sent no message of a known kind"),
        (framed(b""), "sent no message of a known kind"),
        (b"garbage, and more of it", "sent a message of more than 1 MiB"),
        ((10**9).to_bytes(4, "big"), "sent a message of more than 1 MiB"),
        (b"\xff" * 4 + (10**12).to_bytes(8, "big"), "sent a message of more than 1 MiB"),
        (framed(b"JobDone " + b"[" * 100_000), "sent a wrong JobDone"),
        (framed(b"JobDone " + b"1" * (BOUNDS.message_bytes - 8)), "sent a wrong JobDone"),
    ],
    ids=lambda value: f"{value[:20]!r}",
)
def test_what_is_no_message_ends_the_talk(writing, content, words) -> None:
    with pytest.raises(ProcessDied, match=words):
        writing(content)


@pytest.mark.parametrize(
    "pieces",
    others_slow(
        [[b"\0\0"], [framed(encode(DONE))[:-1]], [(9999).to_bytes(4, "big"), *[b"J"] * 200]],
        lambda pieces: len(pieces) > 1,
    ),
)
def test_the_rest_of_a_message_is_not_waited_for(writing, pieces) -> None:
    begun = time.monotonic()
    with pytest.raises(ReceiveTimeout):
        writing(*pieces)
    assert time.monotonic() - begun < 30


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs sealed memory")
def test_the_shared_memory_cannot_be_taken_away() -> None:
    """Reading what the other process has cut off would end this one with SIGBUS."""
    memory = SharedMemory()
    memory.grow(4096)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.descriptor, 0)
    memory.grow(8192)
    assert memory.view.sum() == 0
    memory.close()


@pytest.mark.parametrize("sees_clips", [False, True])
@pytest.mark.parametrize("cache", ["/somewhere/cache", None])
def test_the_environment_says_where_clips_are_only_to_what_sees_them(sees_clips, cache, monkeypatch) -> None:
    """By whatever name: the clip store lies in XDG_CACHE_HOME, too, and a script may have a variable of its own."""
    store = cache or "/users/caches/physbench"
    monkeypatch.delenv("PHYSBENCH_CACHE", raising=False)
    given = {
        "XDG_CACHE_HOME": "/users/caches",
        "PHYSBENCH_TASK_FILES": "/tasks.py",
        "MY_CLIPS": f"{store}/clips",
        "PYTHONPATH": f"/code:{store}",
        **({"PHYSBENCH_CACHE": cache} if cache else {}),
    }
    kept = {"WEIGHTS": "/weights", "PATH": "/bin:/somewhere/bin", "TORCH_HOME": "/torch", "NOTE": "somewhere"}
    for name, text in {**given, **kept}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("HF_HOME", raising=False)
    environment = model_process.model_environment(sees_clips)
    assert {name: environment[name] for name in kept} == kept
    if sees_clips:
        assert {name: environment[name] for name in given} == given
    else:
        left = {name: environment.get(name) for name in given if environment.get(name)}
        assert left == {"PYTHONPATH": "/code"}
        assert environment["HF_HOME"] == "/users/caches/huggingface", "what was downloaded is found as before"


def test_the_token_of_a_server_is_for_the_server_alone(monkeypatch) -> None:
    monkeypatch.setenv("PHYSBENCH_HTTP_TOKEN", "secret")
    assert "PHYSBENCH_HTTP_TOKEN" not in model_process.model_environment(False)
    assert "PHYSBENCH_HTTP_TOKEN" not in model_process.model_environment(True)
    assert model_process.model_environment(False, served=True)["PHYSBENCH_HTTP_TOKEN"] == "secret"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"loss 0.5\n", "loss 0.5\n"),
        (b"\x1b[31mloss\x1b[0m\t0.5\n", "loss\t0.5\n"),
        (b"\x1b]0;a title\x07a\x1b[2Jb\x1b[1;1Hc\n", "abc\n"),
        (b"\x1b]52;c;cm0gLXJm\x1b\\left\n", "left\n"),
        (b"\x1b[?25l\x1b[?1049hhidden\x1b7\x1bM\n", "hidden\n"),
        (b"a\x08\x07\x00b\n", "a\N{REPLACEMENT CHARACTER}" + 2 * "\N{REPLACEMENT CHARACTER}" + "b\n"),
        ("a\x9b2Jb \u202ec\n".encode(), "ab \N{REPLACEMENT CHARACTER}c\n"),
        (b"\xff\n", "\N{REPLACEMENT CHARACTER}\n"),
        (b"\r 10%\r 50%\r100%\n", "100%\n"),
        (b"Physical for 0.1 s\rPhysical for 4.7 s\r\n", "Physical for 4.7 s\n"),
        (b"no end of line", "no end of line\n"),
        (b"one\n\ntwo\n", "one\n\ntwo\n"),
        (b"x" * 200_000, None),
    ],
)
def test_what_a_model_prints_has_no_control_characters(written, shown, capfd) -> None:
    """Neither colours nor movements of the cursor, with which a model could write over what this program says.

    Sequences that such filters let through: GingerGraham/bash-logger#54 (private modes), EONRaider/RootWire#53.
    """
    output = ModelOutput()
    descriptor = os.dup(output.descriptor)
    output.begin()
    with os.fdopen(descriptor, "wb") as target:
        target.write(written)
    output.end()
    said = capfd.readouterr().err
    assert said == shown if shown is not None else said.replace("\n", "") == written.decode()


def test_a_bar_is_shown_on_its_way(monkeypatch) -> None:
    shown: queue.Queue[bytes] = queue.Queue()
    monkeypatch.setattr(model_process, "REWRITTEN_SECONDS", 0.0)
    monkeypatch.setattr(ModelOutput, "_show", lambda self, line: shown.put(line))
    output = ModelOutput()
    descriptor = os.dup(output.descriptor)
    output.begin()
    os.write(descriptor, b"\r 10%")
    assert shown.get(timeout=30) == b"\r 10%"  # the other end is still open
    os.close(descriptor)
    output.end()
    assert shown.empty()


CLOSES = """
import os
from physbench import ModelCard

class Closes:
    card = ModelCard("closes", (32, 40), 10, 3)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        os.closerange(0, 256)
        return context[:, -1:].repeat(1, horizon, 1, 1, 1)

def factory(*, device, dtype):
    return Closes()
"""


@pytest.mark.slow
def test_a_model_that_closes_descriptors_is_told_so(tmp_path: Path, clips, clip_maker) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "closes.py").write_text(CLOSES)
    clips.add(clip_maker(0))
    with RolloutEngine(f"{tmp_path / 'closes.py'}:factory", threads=1) as engine:
        plan = engine.plan(list(clips), batch_size=1, load=clips.load, horizon=clips.horizon)
        [result] = list(engine.run(plan, clips.load))
    assert [each.failure for each in result] == ["The model's process closed its connection to this program."]


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


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
@pytest.mark.slow
def test_a_model_keeps_its_card_when_it_is_loaded_again(roll, hostile, tmp_path) -> None:
    with open_engine("changed_card", mark=str(tmp_path / "mark"), timeout=4) as engine:
        rollouts = roll(engine, [hostile.GARBAGE, hostile.OK])
    assert "more than 1 MiB" in rollouts[0].failure
    assert "its card is another one than before" in rollouts[1].failure


@pytest.mark.usefixtures("warm_models")
@pytest.mark.slow
def test_a_privileged_model_of_ones_own_is_asked_for_by_name(roll, clips, hostile) -> None:
    with open_engine("seer", privileged=True) as engine:
        [rollout] = roll(engine, [hostile.OK])
    assert np.array_equal(rollout.frames, next(iter(clips.values())).future())
    with pytest.raises(ModelError, match="--privileged"):
        InProcessEngine(hostile.Seer())
    assert InProcessEngine(hostile.Seer(), privileged=True).info.privileged


@pytest.mark.usefixtures("warm_models")
def test_a_play_beside_a_rollout_is_not_told_the_clip(roll, hostile) -> None:
    with InProcessEngine(hostile.Player()) as engine:
        assert not engine.info.recorded
        [rollout] = roll(engine, [hostile.OK])
    assert rollout.failure is None and (rollout.frames == 128).all()


@pytest.mark.usefixtures("warm_models")
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
