"""The server that users copy beside their model: what it takes, refuses and prints."""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import torch
from model_servers import SIZE, started
from slow_cases import others_slow

from physbench.cli.main import run
from physbench.models.http import serve_model
from physbench.models.http.connection import LostConnectionError
from physbench.models.http.model import ServedModelError, pack_request
from physbench.models.http.serve_model import HEAD_LENGTH, MEDIA_TYPE, pack_head
from physbench.support.errors import ModelError

NUMPY_MODEL = """\
import numpy as np
card = {"name": "toy", "image_size": (32, 40), "fps": 10, "context_frames": 3}

def rollout(context, horizon, actions, prompts, seeds):
    return np.repeat(context[:, -1:], horizon, 1)
"""

TORCH_MODEL = """\
import torch
from types import SimpleNamespace

class Model:
    card = SimpleNamespace(name="noise", image_size=(32, 40), fps=10, context_frames=3, stochastic=True)

    def __init__(self, shift):
        self.shift = shift

    def rollout(self, context, *, horizon, actions, prompts, generators):
        for step in range(horizon):
            noise = torch.stack([torch.rand(3, 32, 40, generator=g) for g in generators])[:, None]
            yield (noise + self.shift).clamp(0, 1) if prompts[0] != "too bright" else noise * 0 + 9

def make(*, device, dtype, shift=0.0):
    assert device.type == "cpu" and dtype == torch.float32
    return Model(shift)
"""


def test_it_imports_nothing_but_numpy_and_the_standard_library() -> None:
    tree = ast.parse(Path(serve_model.__file__).read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert names - set(sys.stdlib_module_names) == {"numpy", "torch"}  # torch for models on tensors alone


def context(batch: int = 2) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (batch, 3, *SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with started(tmp_path_factory.mktemp("served"), NUMPY_MODEL) as running:
        yield running


def post(server, body: bytes, kind: str = MEDIA_TYPE, path: str = "/v1/rollout", **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", path, body, {"Content-Type": kind, **headers})
    response = connection.getresponse()
    return response.status, response.read()


def request(**changes: object) -> bytes:
    """A whole request for two clips, with fields of its head changed."""
    body = b"".join(pack_request(context(), horizon=4, actions=None, prompts=["a"] * 2, seeds=[1] * 2))
    (size,) = HEAD_LENGTH.unpack(body[:4])
    head = json.loads(body[4 : 4 + size]) | changes
    return pack_head(head) + body[4 + size :]


def test_a_rollout_by_hand(server) -> None:
    """As docs/models/http.md says it, without any code of the client."""
    status, body = post(server, request())
    (size,) = HEAD_LENGTH.unpack(body[:4])
    assert status == 200 and json.loads(body[4 : 4 + size]) == {"frames": 4}
    frames = np.frombuffer(body[4 + size :], np.uint8).reshape(2, 4, *SIZE, 3)
    assert np.array_equal(frames, np.repeat(context()[:, -1:], 4, 1))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the head cannot be read"),
        (b"abc", 400, "the head cannot be read"),
        (b"\xff\xff\xff\xff" + b"x" * 50, 413, "a head of at most 1048576 bytes"),
        (b"\x03\0\0\0{}", 413, "a head of at most"),
        (b"\x02\0\0\0[]", 400, "the head cannot be read: TypeError"),
        (b"\x02\0\0\0{{", 400, "the head cannot be read: JSONDecodeError"),
        (request(protocol=2), 400, "speaks version 1 of the protocol"),
        (request(horizon=0), 400, "expected context of shape (B, 3, 32, 40, 3)"),
        (request(horizon=10**9), 400, "expected context of shape"),
        (request(width=41), 400, "expected context of shape"),
        (request(batch=-1), 400, "expected context of shape"),
        (request(batch=3), 400, "expected 34560 bytes after the head, and 3 seeds and prompts"),
        (request(seeds=[1]), 400, "expected 23040 bytes after the head, and 2 seeds and prompts"),
        (request(actions=True), 400, "bytes after the head"),
        (request(actions=True, action_values=0), 400, "expected 1 to 1024 numbers an action"),
        (request() + b"x", 400, "bytes after the head"),
        (request()[:-1], 400, "bytes after the head"),
    ],
)
def test_requests_that_are_refused(server, body, status, words) -> None:
    got, answer = post(server, body)
    assert got == status and words in json.loads(answer)["error"]
    assert post(server, request())[0] == 200, "the server goes on"


def test_requests_to_other_places_and_of_other_types(server) -> None:
    assert post(server, request(), kind="text/plain")[0] == 415, "which a web page could send"
    assert post(server, request(), path="/v2/rollout")[0] == 404
    assert post(server, request(), path="/behind/a/proxy/v1/rollout")[0] == 200


def test_a_client_that_goes_away_does_not_stop_it(server) -> None:
    for sent in (request()[:1000], b""):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"POST /v1/rollout HTTP/1.1\r\nContent-Type: %s\r\n" % MEDIA_TYPE.encode())
            connection.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(request()), sent))
    assert post(server, request())[0] == 200


def test_the_card_is_answered_while_a_rollout_is_computed(tmp_path) -> None:
    may_end = tmp_path / "may-end"
    waits = f"    import os, time\n    while not os.path.exists({str(may_end)!r}): time.sleep(0.02)\n    return"
    slow = NUMPY_MODEL.replace("    return", waits)
    with started(tmp_path, slow) as server:
        busy = threading.Thread(target=post, args=(server, request()))
        busy.start()
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/v1/card")
        assert json.loads(connection.getresponse().read())["card"]["name"] == "toy" and busy.is_alive()
        may_end.touch()
        busy.join()


@pytest.mark.slow
def test_a_model_on_tensors_gives_the_frames_that_it_gives_in_process(tmp_path, load) -> None:
    with started(tmp_path, TORCH_MODEL, "--arg", "shift=0.25", alone=False, factory="make") as server:
        model = load(server.url)
        given = torch.from_numpy(context()).permute(0, 1, 4, 2, 3).float() / 255
        words = {"horizon": 3, "actions": None, "prompts": ["", ""]}
        generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
        got = torch.cat(list(model.rollout(given, **words, generators=generators)), 1)
        names: dict = {}
        exec(TORCH_MODEL, names)
        generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
        seeds = [int(torch.randint(2**53, (), generator=generator)) for generator in generators]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        own = names["make"](device=torch.device("cpu"), dtype=torch.float32, shift=0.25)
        expected = torch.cat(list(own.rollout(given, **words, generators=generators)), 1)
        assert torch.equal((got * 255).round(), (expected * 255 + 0.5).floor())
        assert model.card.stochastic and model.card.name == "noise"
        words["prompts"] = ["too bright", ""]
        with pytest.raises(ServedModelError, match=r"expected values in \[0, 1\], got 9 to 9"):
            list(model.rollout(given, **words, generators=generators))


@pytest.mark.parametrize(
    ("source", "words", "message"),
    others_slow(
        [
            (NUMPY_MODEL, ["none.py"], "none.py does not exist"),
            (NUMPY_MODEL, ["my_model.py:mkae"], "has no function 'mkae'"),
            ("rollout = print\n", ["my_model.py"], "has no card"),
            (
                "card = {'name': 'a', 'fsp': 3}\nrollout = lambda **_: 0\n",
                ["my_model.py"],
                "has the unknown fsp; it may",
            ),
            (
                "card = {'name': 'a', 'fps': 9}\nrollout = lambda **_: 0\n",
                ["my_model.py"],
                "The card lacks image_size, context_frames;",
            ),
            (NUMPY_MODEL, ["my_model.py", "--hash", "none.pt"], "--hash none.pt: there is no such file."),
            (NUMPY_MODEL, ["my_model.py", "--port", "99999"], "port 99999: a port is a number from 0 to 65535."),
            (
                NUMPY_MODEL,
                ["my_model.py", "--arg", "shift=1"],
                "--arg and --device are for a function that makes",
            ),
            (NUMPY_MODEL, ["my_model.py", "--device", "cuda"], "--arg and --device are for a function that makes"),
            (
                NUMPY_MODEL.replace(", actions, prompts, seeds", ""),
                ["my_model.py"],
                "rollout is given context, horizon, actions, prompts, seeds by name, and takes (context, horizon): ",
            ),
            (
                NUMPY_MODEL,
                ["my_model.py", "--host", "0.0.0.0"],
                "could call the model. Give --token-file FILE, or --open",
            ),
            (NUMPY_MODEL, ["my_model.py", "--token-file", "bad"], "expected one line of printable characters"),
        ],
        6,
    ),
)
def test_what_cannot_be_served(tmp_path, source, words, message) -> None:
    (tmp_path / "my_model.py").write_text(source)
    (tmp_path / "bad").write_text("two words")
    command = [sys.executable, serve_model.__file__, "--port", "0", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


def test_a_port_that_is_taken(tmp_path, server) -> None:
    (tmp_path / "my_model.py").write_text(NUMPY_MODEL)
    command = [sys.executable, serve_model.__file__, "my_model.py", "--port", str(server.port)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "Cannot listen at 127.0.0.1" in done.stderr


def test_the_command_that_writes_it(tmp_path, capsys) -> None:
    assert run(["models", "serve-template", "--out", str(tmp_path)]) == 0
    written = tmp_path / "serve_model.py"
    assert written.read_bytes() == Path(serve_model.__file__).read_bytes()
    assert run(["models", "serve-template", "--out", str(tmp_path)]) == 2
    assert "is not overwritten" in capsys.readouterr().err


# A certificate of 127.0.0.1 for a hundred years, signed by itself, and its key: for this test alone.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUD0iYlJqHddIxAy/boxkeMD3MyakwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMTE0MDM1OFoYDzIxMjYxMDI4
MTQwMzU4WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR2Mbt3kppKOexqAjUNJ81aBiCnWiTig6ty5v2+Csyu3CQMOnxoYp14
m8RGb4gnrZ0FRzTGwF2oBsfwWyuK2VtUo2QwYjAdBgNVHQ4EFgQUFr9iS4rhqYF1
gJMyFGJgcNxzyoYwHwYDVR0jBBgwFoAUFr9iS4rhqYF1gJMyFGJgcNxzyoYwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQDpKIvxtExh4MiDnt61zj6PQ+MN2ES9I8EYvDLMT013AQIgJZh6hVJULH1c8Hd/
cSdu+lkOOP75chJ70sEW99uPbDY=
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbe3vYmgyC6vr7RXH
aXz1bUioWZx55KqDCXQGxDrUMGmhRANCAAR2Mbt3kppKOexqAjUNJ81aBiCnWiTi
g6ty5v2+Csyu3CQMOnxoYp14m8RGb4gnrZ0FRzTGwF2oBsfwWyuK2VtU
-----END PRIVATE KEY-----
"""


@pytest.fixture
def certificate(tmp_path):
    """Files with the certificate and with its key."""
    (tmp_path / "cert.pem").write_text(CERTIFICATE)
    (tmp_path / "key.pem").write_text(KEY)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_the_model_of_the_docs(tmp_path, load) -> None:
    page = Path(__file__).parents[2] / "docs" / "models" / "http.md"
    code, *_ = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    with started(tmp_path, code) as server:
        model = load(server.url)
        ramp = torch.tensor([10.0, 30.0])[None, :, None, None, None].expand(1, 2, 3, 64, 64) / 255
        words = {"horizon": 15, "actions": None, "prompts": [""], "generators": [torch.Generator()]}
        frames = torch.cat(list(model.rollout(ramp, **words)), 1)
        levels = (frames * 255).round()[0, :, 0, 0, 0].tolist()
        assert model.card.name == "extrapolation" and levels == [min(255.0, 50 + 20 * k) for k in range(15)]


def test_through_tls(certificate, load, monkeypatch) -> None:
    """As behind a reverse proxy: the same server, with its socket wrapped."""
    server = serve_model.ModelServer("127.0.0.1", 0)
    card = {"name": "toy", "image_size": [*SIZE], "fps": 10, "context_frames": 3}
    server.card_answer = {"protocol": 1, "card": card, "model_sha256": None}
    server.context_shape = (3, *SIZE, 3)
    server.rollout = lambda context, horizon, **_: np.repeat(context[:, -1:], horizon, 1)
    port = server.server_address[1]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*map(os.fspath, certificate))
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pytest.raises(ModelError, match="its certificate is not accepted"):
            load(f"https://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        model = load(f"https://127.0.0.1:{port}")
        generators = [torch.Generator()]
        given = torch.from_numpy(context(1)).permute(0, 1, 4, 2, 3).float() / 255
        (frames,) = model.rollout(given, horizon=2, actions=None, prompts=[""], generators=generators)
        assert torch.equal((frames * 255).round(), (given[:, -1:] * 255).round().expand(-1, 2, -1, -1, -1))
        assert model.reported_sha256 is None and model.notes == []
        with pytest.raises(LostConnectionError, match="it closed the connection"):
            load(f"http://127.0.0.1:{port}", wait="2")
    finally:
        server.shutdown()
        server.server_close()


def test_https_to_a_server_without_tls(server, load) -> None:
    with pytest.raises(ModelError, match="does not speak TLS"):
        load(server.url.replace("http:", "https:"))
