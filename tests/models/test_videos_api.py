"""Models behind a server with the videos API, against a server that answers as its documentation says, or otherwise."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from physbench.cli.main import run
from physbench.clips.video import encode, h264
from physbench.models.load_model import load_model
from physbench.support.errors import PhysbenchError

pytestmark = pytest.mark.usefixtures("warm_models")

SIZE = (64, 96)
ARGUMENTS = {"size": "96x64", "fps": "10", "frames": "13"}


class Server(ThreadingHTTPServer):
    """Each frame is the image, darker by 8 levels for every frame; `change` alters an answer before it is sent."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.forms: list[dict[str, Any]] = []
        self.videos: dict[str, bytes] = {}
        self.asked: dict[str, int] = {}
        self.deleted: list[str] = []
        self.status: dict[str, Any] = {"status": "completed"}
        self.created: Callable[[str], bytes] = lambda job: json.dumps({"id": job, "status": "queued"}).encode()
        self.rate, self.size, self.frames, self.video = 10.0, SIZE, 13, None

    def make(self, form: dict[str, Any]) -> bytes:
        with av.open(io.BytesIO(form["input_reference"]), format="png_pipe") as container:
            image = next(container.decode(video=0)).to_ndarray(format="rgb24")
        frames = np.stack([image.astype(int) - 8 * k for k in range(self.frames)]).clip(0, 255).astype(np.uint8)
        frames = np.ascontiguousarray(frames[:, : self.size[0], : self.size[1]])
        path = self.folder / f"{len(self.forms)}.mp4"
        encode(path, frames, self.rate, h264(1))
        return path.read_bytes()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def answer(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        assert self.path == "/v1/videos"
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message: Message = BytesParser().parsebytes(head + self.rfile.read(int(self.headers["Content-Length"])))
        form: dict[str, Any] = {}
        for part in message.get_payload():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            form[name] = content if name == "input_reference" else content.decode()
        self.server.forms.append(form)
        job = f"video_{len(self.server.forms)}"
        self.server.videos[job] = self.server.make(form) if self.server.video is None else self.server.video
        self.answer(self.server.created(job))

    def do_GET(self) -> None:
        job, _, rest = self.path.removeprefix("/v1/videos/").partition("/")
        if rest == "content":
            return self.answer(self.server.videos[job])
        asked = self.server.asked[job] = self.server.asked.get(job, 0) + 1
        status = {"status": ("queued", "in_progress")[asked - 1]} if asked < 3 else self.server.status
        return self.answer(json.dumps({"id": job, **status}).encode())

    def do_DELETE(self) -> None:
        self.server.deleted.append(self.path.rpartition("/")[2])
        self.answer(b"{}")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("physbench.models.http.videos_api.SHORTEST_POLL", 0.01)
    server = Server(tmp_path)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/v1/videos"


def model(server: Server, **changed: str) -> Any:
    arguments = {**ARGUMENTS, **changed}
    return load_model(url(server), device=torch.device("cpu"), dtype=torch.float32, model_args=arguments)


def roll(made: Any, horizon: int = 12, clips: int = 2) -> torch.Tensor:
    context = torch.linspace(0.5, 0.9, 3 * SIZE[0] * SIZE[1]).reshape(1, 1, 3, *SIZE).repeat(clips, 1, 1, 1, 1)
    generators = [torch.Generator().manual_seed(number) for number in range(clips)]
    prompts = ["a ball\r\nfalls \u2013 fast", "it rolls"][:clips]
    return made.rollout(context, horizon=horizon, actions=None, prompts=prompts, generators=generators)


def test_frames_after_the_image_come_back(server: Server) -> None:
    made = model(server, model="tiny", num_inference_steps="4")
    assert "13 frames of 96x64 px at 10 frames/s; the first of them shows the image" in made.assumptions[0]
    assert made.card.image_size == SIZE and made.card.context_frames == 1 and made.card.max_horizon == 12
    frames = roll(made)
    assert frames.shape == (2, 12, 3, *SIZE)
    falls = 255 * (frames[:, 0].mean() - frames[:, 1:].mean((0, 2, 3, 4)))
    assert torch.allclose(falls, 8.0 * torch.arange(1, 12), atol=1)
    first, second = server.forms
    assert (first["prompt"], second["prompt"]) == ("a ball\r\nfalls \u2013 fast", "it rolls")
    assert first["seed"] != second["seed"]
    told = {
        "model": "tiny",
        "num_inference_steps": "4",
        "size": "96x64",
        "num_frames": "13",
        "seconds": "2",
        "fps": "10",
    }
    assert told.items() <= first.items()
    assert server.deleted == ["video_1", "video_2"]


def test_a_first_frame_that_is_new_is_kept(server: Server) -> None:
    kept, dropped = roll(model(server, first="new"), 12, 1), roll(model(server), 12, 1)
    assert torch.allclose(kept[:, 1:], dropped[:, :11], atol=0.02)
    assert model(server, first="new").card.max_horizon == 13


def test_a_larger_server_is_shown_a_larger_image(server: Server) -> None:
    server.size = (512, 768)
    made = model(server, size="768x512")
    assert made.card.image_size == (256, 384)
    context = torch.full((1, 1, 3, 256, 384), 0.5)
    frames = made.rollout(context, horizon=2, actions=None, prompts=[""], generators=[torch.Generator()])
    assert frames.shape == (1, 2, 3, 256, 384)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"status": {"status": "failed", "error": {"message": "no\nmemory"}}}, r"made no video \(no memory\)"),
        ({"status": {"status": "lost"}}, r"made no video \(lost\)"),
        ({"created": lambda job: b'{"status": "queued"}'}, "accepted a job without an id"),
        ({"created": lambda job: b'{"id": "../../x"}'}, "accepted a job without an id"),
        ({"created": lambda job: b"<html>"}, "does not answer as a videos API does"),
        ({"size": (32, 96)}, r"answered with 96x32 px; expected 96x64. Try --model-arg size=96x32"),
        ({"rate": 16.0}, r"answered at 16 frames/s; expected 10. Try --model-arg fps=16"),
        ({"frames": 9}, r"answered with 9 frames; expected at least 13. Try --model-arg frames=9"),
        ({"video": b"no video"}, "damaged or none"),
        ({"video": b""}, "damaged or none"),
    ],
)
def test_answers_that_cannot_be_used(server: Server, broken: dict[str, Any], words: str) -> None:
    for name, value in broken.items():
        setattr(server, name, value)
    with pytest.raises(PhysbenchError, match=words) as raised:
        roll(model(server), 12, 1)
    assert "\n" not in str(raised.value)


def test_a_server_that_refuses_says_why(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Handler) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b'{"error": {"message": "size is not one of 1280x720"}}', 400)

    monkeypatch.setattr(Handler, "do_POST", refuse)
    with pytest.raises(PhysbenchError, match=r"status 400: size is not one of 1280x720"):
        roll(model(server), 12, 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": "large"}, "expected WIDTHxHEIGHT"),
        ({"size": "8x8"}, "expected WIDTHxHEIGHT"),
        ({"fps": "0"}, "expected a number above 0"),
        ({"frames": "9.5"}, "expected a whole number above 0"),
        ({"frames": "1"}, "expected more than the first frame"),
        ({"first": "none"}, "expected context or new"),
        ({"prompt": "a ball"}, "it is made for each clip"),
        ({"fps": "7"}, "divides 1200"),
    ],
)
def test_arguments_that_cannot_work(server: Server, given: dict[str, str], words: str) -> None:
    with pytest.raises(PhysbenchError, match=re.escape(words)):
        model(server, **given)


@pytest.mark.slow
def test_a_check_says_what_is_asked_of_the_server(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [word for key, value in ARGUMENTS.items() for word in ("--model-arg", f"{key}={value}")]
    assert run(["models", "check", url(server), *arguments, "--out", str(server.folder / "shown.png")]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "is asked for 13 frames of 96x64 px at 10 frames/s; the first of them shows the image" in said
