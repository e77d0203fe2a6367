"""A run on a Ray cluster leaves what one on this machine leaves, and says in two lines what went wrong there."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from object_store import BUCKET, object_store
from ray_stand_in import EXCEPTIONS, RayStandIn, RayTaskError

from physbench.cli.main import run
from physbench.result.manifest import read_manifest
from physbench.run import ray_cluster
from physbench.run.options import Options
from physbench.run.ray_cluster import cause_of, import_ray, joined
from physbench.support import plugins
from physbench.support.errors import ModelError, PhysbenchError, UsageError
from physbench.support.files import read_sealed_json
from physbench.support.run_folder import RunFolder

Words = Callable[..., tuple[str, ...]]
TABLES = ("scores.parquet", *(f"references/{name}/scores.parquet" for name in ("truth", "freeze", "constant-velocity")))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[RayStandIn]:
    """In place of the module; what jobs change in their process is put back."""
    stand_in = RayStandIn()
    for module in (ray_cluster, ray_cluster):
        monkeypatch.setattr(module, "import_ray", lambda: stand_in)
    monkeypatch.setattr(plugins, "_hashes_of_parent", {})
    with plugins.temporarily_registered():
        yield stand_in


def same_tables(out: Path, other: RunFolder) -> None:
    """The same bytes of tables and rollouts, and the same result but for times."""
    for name in TABLES:
        assert (out / name).read_bytes() == (other.path / name).read_bytes(), name
    for video in (other.path / "rollouts").glob("*.mkv"):
        assert (out / "rollouts" / video.name).read_bytes() == video.read_bytes()
    results = [read_sealed_json(place / "result.json") for place in (out, other.path)]
    assert {**results[0], "speed": 0} == {**results[1], "speed": 0}


@pytest.mark.slow
def test_a_run_leaves_the_same_bytes(
    ray: RayStandIn, staged_run: RunFolder, stage_words: Words, tmp_path: Path
) -> None:
    """With two actors, one of which is lost with its GPU: the other one does its batches, too."""
    ray.gpus = 2

    def lost(actor: int, method: str) -> bool:
        if (actor, method) == (1, "roll"):
            ray.gpus = 1
            return True
        return False

    ray.lost = lost
    out = tmp_path / "run"
    assert run(stage_words("eval", out, "--executor", "ray", "--device", "auto")) == 0
    same_tables(out, staged_run)
    actors = [how for how in ray.asked if "max_restarts" in how]
    assert [how["num_gpus"] for how in actors] == [1] and ray.killed == 2
    assert ray.settings == {}, "the cluster was left"


@pytest.mark.slow
def test_scores_alone(ray: RayStandIn, staged_run: RunFolder, tmp_path: Path) -> None:
    """Of a run behind a URL that one machine rolled out, without an actor; the manifest keeps what was asked for."""
    out = tmp_path / "run"
    shutil.copytree(staged_run.path, out, ignore=shutil.ignore_patterns(".lock"))
    assert run(("score", out.as_uri(), "--fresh", "--executor", "ray")) == 0
    assert [how["num_cpus"] for how in ray.asked] == [1] and ray.settings == {}
    assert not (out / "scores.parquet").exists() and (out / "references").is_dir()
    assert run(("finish", out.as_uri())) == 0
    same_tables(out, staged_run)
    assert read_manifest(RunFolder(out)).document()["options"] == read_manifest(staged_run).document()["options"]


@pytest.mark.slow
def test_clips_and_run_behind_urls(ray: RayStandIn, staged_run: RunFolder, stage_words: Words, tmp_path: Path) -> None:
    """The machine of the command alone speaks to the object store."""
    with object_store() as store:
        clips, url = f"s3://{BUCKET}/four.clips", f"s3://{BUCKET}/runs/ray"
        words = stage_words("eval", Path(), "--executor", "ray", "--device", "cpu", "--clips", clips)
        chosen = words[words.index("--suite") + 1 : words.index("--batch-size")]
        place = words.index("--out") + 1
        assert run(("data", "pack", *chosen, "--workers", "1", "--out", clips)) == 0
        assert run((*words[:place], url, *words[place + 1 :])) == 0
        store.get(f"{BUCKET}/runs/ray/", str(tmp_path / "run"), recursive=True)
    same_tables(tmp_path / "run", staged_run)
    manifest = read_manifest(RunFolder(tmp_path / "run"))
    assert manifest.clips.file == clips and not (tmp_path / "run" / ".lock").exists()
    assert any("max_restarts" in how for how in ray.asked), "an actor held the model"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--address", "10.0.0.1:6379"), "Add --executor ray"),
        (("--executor", "rya"), "Did you mean"),
        (("--executor", "ray", "--address", "head"), "expected auto or HOST:PORT"),
    ],
)
def test_a_cluster_that_is_asked_for_wrongly(
    ray: RayStandIn,
    staged_run: RunFolder,
    stage_words: Words,
    tmp_path: Path,
    words: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is there stays, also with --fresh."""
    out = tmp_path / "run"
    shutil.copytree(staged_run.path, out)
    for command in (("score", str(out)), stage_words("eval", out)):
        assert run((*command, "--fresh", *words)) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.splitlines()) == 1
    same_tables(out, staged_run)


@pytest.mark.slow  # each half is in the test above and in test_stages
def test_a_run_goes_on_here_and_there(
    ray: RayStandIn, staged_run: RunFolder, stage_words: Words, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run(stage_words("rollout", out, "--executor", "ray")) == 0
    assert run(stage_words("eval", out, "--resume")) == 0
    same_tables(out, staged_run)
    for name in ("scores.parquet", *(f"parts/{path.name}" for path in (out / "parts").glob("*.1.json"))):
        (out / name).unlink()
    assert run(stage_words("eval", out, "--resume", "--executor", "ray")) == 0
    same_tables(out, staged_run)


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded(
    ray: RayStandIn, toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("eval", f"{toys / 'broken.py'}:factory", "--suite", "smoke", "--executor", "ray")
    assert run((*words, "--out", str(tmp_path / "run"))) == 2
    said = capsys.readouterr().err
    assert "kind" in said and "Traceback" not in said and not (tmp_path / "run").exists()


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'physbench\[ray\]'"):
        import_ray()


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://a:10001", "a:99999", "a:0", "a:b", ":6379", "a b:6379"])
def test_an_address_that_is_none(ray: RayStandIn, address: str) -> None:
    with pytest.raises(UsageError, match="expected auto or HOST:PORT"), joined(address, None):
        pass


def test_an_address_that_nobody_answers(ray: RayStandIn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        pytest.raises(UsageError, match=r"no Ray cluster answers .*ray status") as error,
        joined(f"127.0.0.1:{port}", None),
    ):
        pass
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n", None])
def test_an_address_where_another_program_answers(
    ray: RayStandIn, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    """One that hangs up, one of the web, and one that never says a word."""
    monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 0.2)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        waits = threading.Event()

        def serve() -> None:
            with server.accept()[0] as connection:
                if answer is None:
                    waits.wait(LONGEST)
                else:
                    connection.sendall(answer)

        program = threading.Thread(target=serve, daemon=True)
        program.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UsageError, match="something answers there, but no Ray cluster"):
            ray_cluster.check_cluster(address)
        waits.set()
        program.join(LONGEST)


def test_stdout_is_for_results(
    ray: RayStandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread of Ray prints there what tasks print, with --debug."""
    monkeypatch.setattr(ray, "init", lambda **settings: print("started"))
    with joined(None, None, debug=True):
        thread = threading.Thread(target=lambda: print("(pid=1) hello"))
        thread.start()
        thread.join(LONGEST)
    print("result")
    assert capsys.readouterr() == ("result\n", "started\n(pid=1) hello\n")


MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.9.0
    Python: 3.10.1
This process on Node 10.0.0.2 was started with:
    Ray: 2.60.0
    Python: 3.11.2
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MISMATCH, "the cluster has Ray 2.9.0 and Python 3.10.1, here is Ray 2.60.0 and Python 3.11.2"),
        ("Could not find any running Ray instance.\nMore.", "Could not find any running Ray instance"),
    ],
)
def test_a_cluster_that_cannot_be_joined(
    ray: RayStandIn, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    def init(**settings: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UsageError, match=words) as error, joined("auto", None):
        pass
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RayTaskError(ModelError("no weights")), ModelError, "no weights"),
        (RayTaskError(RuntimeError("The remote function failed to import on the worker.")), UsageError, "import"),
        (EXCEPTIONS.OutOfMemoryError(), PhysbenchError, "fewer --workers"),
        (EXCEPTIONS.ActorDiedError(), PhysbenchError, "smaller --batch-size"),
        (EXCEPTIONS.WorkerCrashedError(), PhysbenchError, "out of memory"),
        (EXCEPTIONS.ObjectLostError("lost\nmore"), PhysbenchError, r"lost a job \(lost\)"),
    ],
)
def test_what_became_of_a_job(ray: RayStandIn, error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        raise cause_of(ray, error)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"executor": "rya"}, "ray"),
        ({"address": "auto"}, "--executor ray"),
        ({"executor": "ray", "fresh_seeds": 2}, "--fresh-seeds"),
        ({"executor": "ray", "device": "cuda:1"}, "--device"),
    ],
)
def test_what_a_cluster_cannot_do(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options("baseline:freeze", **changes).check()  # type: ignore[arg-type]


# A real cluster of several nodes on this machine. Ray takes 127.0.0.1 for the address of the machine.
HEAD, LOST, NEW = "127.0.0.2", "127.0.0.3", "127.0.0.4"
LONGEST = 600.0  # s until something must have happened


def node(address: str, **resources: int) -> dict[str, Any]:
    """Settings of a node with one core, and as many processes."""
    return {"node_ip_address": address, "num_cpus": 1, "object_store_memory": 100 << 20, **resources}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cold_models: None) -> Iterator[Any]:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("TOY_GATE", str(tmp_path / "gate"))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={**node(HEAD), "include_dashboard": False})
    yield made
    made.shutdown()


def kill(lost: Any) -> None:
    """End a node as a power cut does: its processes, and all that they have started."""
    for kind in lost.all_processes.values():
        for started in kind:
            first = psutil.Process(started.process.pid)
            for process in [first, *first.children(recursive=True)]:
                process.kill()


@pytest.mark.slow
def test_a_node_is_lost_in_the_middle(
    cluster: Any, staged_run: RunFolder, stage_words: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    """The model waits in its second batch while its node is killed, and is loaded anew on one that comes then."""
    lost = cluster.add_node(**node(LOST, num_gpus=1))
    out, codes = tmp_path / "run", list[int]()
    words = stage_words("eval", out, "--executor", "ray", "--address", cluster.address, "--device", "auto")
    program = threading.Thread(target=lambda: codes.append(run(words)), daemon=True)  # nodes are added in the main one
    program.start()
    while program.is_alive() and not list(out.glob("rollouts/*.json")):
        time.sleep(0.2)
    family = psutil.Process(lost.all_processes["raylet"][0].process.pid).children(recursive=True)
    models = [each for each in family if "physbench.rollout.server" in each.cmdline()]
    kill(lost)
    (tmp_path / "gate").touch()
    cluster.add_node(**node(NEW, num_gpus=1))
    program.join(LONGEST)
    assert codes == [0] and len(models) == 1, "the model was on the node that was lost"
    same_tables(out, staged_run)
