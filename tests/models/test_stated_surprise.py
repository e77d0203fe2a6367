"""Models that state their surprise, by every way in but Python: graphs, servers, and the example of a likelihood."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from types import ModuleType

import made_graphs
import numpy as np
import pytest
import torch
from model_servers import CARD, SIZE, card_answer, raw_server, respond
from torch import Tensor

from physbench.models.exported_program import DOCUMENT_FILE, read_program_document
from physbench.models.http.connection import LostConnectionError
from physbench.models.http.model import NoJsonError
from physbench.models.load_model import check_target
from physbench.models.protocol import SurpriseCard, check_contract
from physbench.support.errors import ModelError

EXAMPLES = Path(__file__).parents[2] / "examples"
GENERATORS = [torch.Generator().manual_seed(seed) for seed in range(2)]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def films(frames: int = 9, size: tuple[int, int] = (64, 64)) -> Tensor:
    """Two films (2, T, 3, H, W) whose values are levels of 255."""
    levels = np.random.default_rng(0).integers(0, 256, (2, frames, 3, *size), dtype=np.uint8)
    return torch.from_numpy(levels).float() / 255


def change(video: Tensor) -> Tensor:
    """Squared difference (B, T) of each frame from the one before it."""
    return torch.nn.functional.pad((video[:, 1:] - video[:, :-1]).square().mean((2, 3, 4)), (1, 0))


def stated(model, video: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.surprise(video, context=4, actions=None, prompts=["", ""], generators=GENERATORS)


@pytest.mark.parametrize("frames", [5, 9])
def test_a_graph_states_surprise_at_films_of_any_length(load, tmp_path, frames) -> None:
    model = load(made_graphs.save(made_graphs.surprised(), tmp_path / "model.onnx"))
    assert isinstance(model.card, SurpriseCard) and model.card.unit == "squared change" and model.card.sees == 0.5
    found = stated(model, films(frames))
    torch.testing.assert_close(found, change(films(frames)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"frames": 9}, "has 9 frames, and films have more or fewer"),
        (
            {"name": "context"},
            "takes `video` (B, T, 3, H, W) alone and gives `surprise` (B, T); this one takes context",
        ),
        ({"card": {"uses_prompt": True}}, "a graph takes no text"),
        ({"card": {"stochastic": True}}, "no input `noise`"),
        ({"card": {"image_size": [32, 32]}}, "should have the shape (B, T, 3, 32, 32)"),
        ({"card": {"sees": -1}}, "expected sees to be seconds above 0"),
        ({"card": {"sees": float("inf")}}, "at most 1,000,000 s"),
        ({"card": {"ahead": 10**400}}, "at most 1,000,000 s"),
        ({"card": {"unit": "\x1b[31mred"}}, "expected unit to be a text"),
        ({"card": {"units": "nats"}}, "unknown field 'units'. Did you mean unit?"),
        ({"kind": "frames"}, "unknown field 'unit'"),
    ],
)
def test_a_graph_of_surprise_that_cannot_be_asked_is_told(tmp_path, given, words) -> None:
    with pytest.raises(ModelError) as caught:
        check_target(str(made_graphs.save(made_graphs.surprised(**given), tmp_path / "model.onnx")))
    assert words in str(caught.value) and len(str(caught.value).splitlines()) <= 2


def test_an_archive_states_no_surprise(tmp_path) -> None:
    path = tmp_path / "model.pt2"
    document = {"kind": "surprise", "card": {"name": "a", "image_size": [64, 64], "fps": 15, "context_frames": 2}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"model/extra/{DOCUMENT_FILE}", json.dumps(document))
    with pytest.raises(ModelError, match=r"Export surprise as an \.onnx"):
        read_program_document(path)


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The example of a server, in a thread."""
    server = HTTPServer(("127.0.0.1", 0), example("serve_surprise").Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_states_surprise(served, load) -> None:
    model = load(served)
    assert isinstance(model.card, SurpriseCard) and model.card.unit == "squared change of pixels"
    for _ in range(2):  # the connection is kept
        torch.testing.assert_close(stated(model, films()), change(films()), atol=1e-6, rtol=1e-5)


STATED_CARD = card_answer(answers="surprise", unit="nats")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"surprise": [[0.0] * 8] * 2}, ModelError, "2 films, each a list of 9 numbers, got the shape (2, 8)"),
        ({"surprise": [[0.0] * 9, [0.0]]}, ModelError, "each a list of 9 numbers."),
        ({"surprise": [0.0, 1.0]}, ModelError, "each a list of 9 numbers."),
        ({"frames": 9}, ModelError, "each a list of 9 numbers."),
        ({"surprise": [["much"] * 9] * 2}, ModelError, "each a list of 9 numbers."),
        ({"surprise": [["1"] * 9] * 2}, ModelError, "each a list of 9 numbers."),
        ({"surprise": [[True] * 9] * 2}, ModelError, "each a list of 9 numbers."),
        ([1.0], NoJsonError, "expected a JSON object"),
    ],
)
def test_answers_of_a_server_that_are_no_surprise(load, answer, kind, words) -> None:
    with raw_server(card=STATED_CARD, rollout=respond(json.dumps(answer).encode())) as server:
        model = load(server.url)
        with pytest.raises(kind) as caught:
            stated(model, films(size=SIZE))
        assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_null_is_no_number_and_fails_its_film_alone(load) -> None:
    values = [[0.5] * 9, [None] * 9]
    with raw_server(card=STATED_CARD, rollout=respond(json.dumps({"surprise": values}).encode())) as server:
        found = stated(load(server.url), films(size=SIZE))
    assert (found[0] == 0.5).all() and found[1].isnan().all()


def test_a_server_that_goes_away_is_lost_and_one_that_raises_is_heard(load) -> None:
    with raw_server(card=STATED_CARD, rollout=lambda connection, path, body: False) as server:
        model = load(server.url)
        with pytest.raises(LostConnectionError, match="closed the connection"):
            stated(model, films(size=SIZE))
    part = respond(b'{"surprise": [[0.1, ', length=1000)

    def stop(connection: socket.socket, path: str, body: bytes) -> bool:
        connection.sendall(part)
        return False

    with raw_server(card=STATED_CARD, rollout=stop) as server:
        model = load(server.url)
        with pytest.raises(LostConnectionError, match="lost after a part of the surprise"):
            stated(model, films(size=SIZE))
    said = respond(json.dumps({"error": "KeyError: film", "kind": "raised"}).encode(), "500 Internal Server Error")
    with raw_server(card=STATED_CARD, rollout=said) as server, pytest.raises(Exception, match="KeyError: film"):
        stated(load(server.url), films(size=SIZE))


def test_a_card_of_frames_has_no_unit(load) -> None:
    with raw_server(card=card_answer(unit="nats")) as server, pytest.raises(ModelError, match="unknown field 'unit'"):
        load(server.url)
    assert "answers" not in CARD


def test_a_request_of_surprise_holds_whole_films(load) -> None:
    values = json.dumps({"surprise": [[0.0] * 9] * 2}).encode()
    with raw_server(card=STATED_CARD, rollout=respond(values)) as server:
        stated(load(server.url), films(size=SIZE))
        first, _, body = server.requests[-1]
    assert first.startswith("POST /v1/surprise")
    length = int.from_bytes(body[:4], "little")
    head = json.loads(body[4 : 4 + length])
    assert head["context_frames"] == 4 and head["horizon"] == 5 and head["batch"] == 2
    shown = np.frombuffer(body[4 + length :], np.uint8).reshape(2, 9, *SIZE, 3)
    np.testing.assert_array_equal(shown, (films(size=SIZE) * 255).round().permute(0, 1, 3, 4, 2).numpy())


def test_the_surprise_of_a_token_model_is_the_negative_log_likelihood_of_its_tokens() -> None:
    module = example("token_surprise")
    model = module.make(device=torch.device("cpu"), dtype=torch.float32)
    check_contract(model, "token_surprise.py:make")
    video = films()
    found = stated(model, video)
    with torch.inference_mode():
        tokens = model.tokens(video)
        assert tokens.shape == (2, 9, 8, 8) and int(tokens.min()) >= 0 and int(tokens.max()) < module.LEVELS
        logits = model(tokens[:, 4])  # (2, LEVELS, 8, 8) of the frame after it
    likelihood = np.exp(logits.double().numpy())
    likelihood /= likelihood.sum(axis=1, keepdims=True)
    true = np.take_along_axis(likelihood, tokens[:, 5, None].numpy(), axis=1)
    np.testing.assert_allclose(found[:, 5], -np.log(true).sum(axis=(1, 2, 3)), rtol=1e-5)
    altered = video.clone()
    altered[:, 6:] = 1 - altered[:, 6:]
    torch.testing.assert_close(stated(model, altered)[:, :6], found[:, :6], atol=0, rtol=0)
    assert (stated(model, altered)[:, 6] != found[:, 6]).all()
