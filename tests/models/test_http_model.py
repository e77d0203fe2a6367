"""Models behind a server: the frames are those of the model, and whatever a server does is told in one or two lines."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from model_servers import CARD, SIZE, blocks, card_answer, raw_server, respond, started

from physbench.models.http.connection import LostConnectionError, NoServerError
from physbench.models.http.model import SEED_BOUND, NoJsonError, ServedMemoryError, ServedModelError
from physbench.models.http.serve_model import MEDIA_TYPE, pack_head
from physbench.models.load_model import check_target, find_adapter, model_sha256
from physbench.support.errors import ModelError

pytestmark = pytest.mark.usefixtures("warm_models")

MODEL = """\
import numpy as np
card = {"name": "toy", "image_size": (32, 40), "fps": 10, "context_frames": 3, "stochastic": True, "uses_actions": True}

def rollout(context, horizon, actions, prompts, seeds):
    frame = context[:, -1:].astype(int)
    shift = np.array([np.random.default_rng(seed).integers(9) + len(prompt) for seed, prompt in zip(seeds, prompts)])
    if actions is not None:
        shift = shift + np.round(actions.sum((1, 2))).astype(int)
    for step in range(horizon):
        frame = (frame + shift[:, None, None, None, None]) % 256
        yield frame.astype(np.uint8)
"""


def own_rollout(*arguments):
    """The model in this process."""
    names: dict = {}
    exec(MODEL, names)
    return names["rollout"](*arguments)


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in range(count)]


def asked(batch: int = 2, horizon: int = 5, frames: int = 3, actions: int = 0) -> dict:
    """The arguments of a rollout; actions: numbers of each."""
    random = np.random.default_rng(0)
    context = random.integers(0, 256, (batch, frames, *SIZE, 3), dtype=np.uint8)
    table = (
        torch.from_numpy(random.normal(size=(batch, frames + horizon, actions)).astype(np.float32)) if actions else None
    )
    prompts = [f"clip {'x' * number}" for number in range(batch)]
    given = torch.from_numpy(context).permute(0, 1, 4, 2, 3).float() / 255
    return {
        "context": given,
        "horizon": horizon,
        "actions": table,
        "prompts": prompts,
        "generators": generators(batch),
    }


def levels(frames: torch.Tensor) -> np.ndarray:
    """(B, T, H, W, 3) uint8, as the harness rounds."""
    return (frames * 255 + 0.5).to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()


def roll(model, **changes) -> np.ndarray:
    return levels(torch.cat(list(model.rollout(**{**asked(), **changes})), 1))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    with started(folder, MODEL) as running:
        yield running


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("actions", [0, 6, 3])
def test_frames_of_another_environment_equal_those_in_process(server, load, actions, dtype) -> None:
    """The server's interpreter finds NumPy and the standard library, and nothing else."""
    assert "importable: numpy\n" in server.said
    model = load(server.url)
    given = asked(actions=actions)
    seeds = [int(torch.randint(SEED_BOUND, (), generator=g)) for g in generators(2)]
    context = levels(given["context"])
    table = None if given["actions"] is None else given["actions"].numpy()
    expected = np.concatenate(list(own_rollout(context, 5, table, given["prompts"], seeds)), 1)
    given["context"] = given["context"].to(dtype)
    assert np.array_equal(roll(model, **given), expected)
    assert len(np.unique(expected[:, -1] - context[:, -1])) > 1, "the clips have shifts of their own"


def test_the_card_and_what_is_reported(server, load) -> None:
    model = load(server.url + "/")
    assert model.card.name == "toy" and model.card.image_size == SIZE and model.card.uses_actions
    assert len(model.reported_sha256) == 64 and "which nobody has checked" in model.notes[0]
    assert model_sha256(server.url) is None and find_adapter(server.url).name == "http"
    assert find_adapter(server.url.replace("http", "https")).name == "http"


def test_the_connection_is_kept_and_opened_again_when_it_was_closed(load) -> None:
    def answer_and_close(connection, path, body):
        connection.sendall(respond(blocks(2, 5), kind=MEDIA_TYPE))
        return len(server.requests) != 3  # the connection that the second rollout has used

    with raw_server(rollout=answer_and_close) as server:
        model = load(server.url)
        first = server.connections
        roll(model)
        roll(model)
        assert server.connections == first
        time.sleep(0.2)
        assert (roll(model) == 7).all()
        assert server.connections == first + 1


def test_blocks_of_any_length(load) -> None:
    for lengths in ((40,), (1, 39), (20, 20)):
        with raw_server(rollout=respond(blocks(2, *lengths), kind=MEDIA_TYPE)) as server:
            chunks = list(load(server.url).rollout(**{**asked(), "horizon": 40}))
            assert sum(chunk.shape[1] for chunk in chunks) == 40 and max(chunk.shape[1] for chunk in chunks) <= 16


def test_proxies_of_the_environment_are_not_used(server, load, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert load(server.url).card.name == "toy"


# What a model does wrong, told by its server: one function a case, chosen by the prompt.

WRONG = (
    ("return np.zeros((2, horizon, 32, 40, 3))", ModelError, "type uint8, got float64: values from 0 to 255"),
    ("return np.zeros((2, horizon, 40, 32, 3), 'u1')", ModelError, r"shape \(2, 5, 32, 40, 3\), got \(2, 5, 40"),
    ("return np.zeros((2, horizon + 3, 32, 40, 3), 'u1')", ModelError, r"got \(2, 8, 32"),
    ("return np.zeros((2, horizon, 3, 32, 40), 'u1')", ModelError, r"3, 32, 40\): channels last"),
    ("return np.zeros((2, horizon + 3, 32, 40, 3), 'u1')", ModelError, r"40, 3\): without the context frames"),
    ("return [1, 2]", ModelError, "an array or an iterator over arrays, got list"),
    ("yield np.zeros((2, 2, 32, 40, 3), 'u1')", ModelError, "expected 5 frames, got 2"),
    ("yield context[:, :1]; raise KeyError('weights')", ServedModelError, r"KeyError in my_model.py, line \d+ \(case"),
    ("return 1 / 0", ServedModelError, r"ZeroDivisionError in my_model.py, line \d+ \(case_8\): division by zero"),
    ("raise FileNotFoundError('no weights')", ServedModelError, "FileNotFoundError in my_model.py"),
    ("raise MemoryError('too many')", ServedMemoryError, "MemoryError in my_model.py"),
    ("raise RuntimeError('CUDA out of memory. Tried')", ServedMemoryError, "CUDA out of memory"),
    ("raise SystemExit('enough')", ServedModelError, "SystemExit in my_model.py"),
)


@pytest.fixture(scope="module")
def wrong_server(tmp_path_factory):
    lines = ["import numpy as np", f"card = {CARD | {'uses_prompt': True}}"]
    for number, (body, _, _) in enumerate(WRONG):
        lines.append(f"def case_{number}(context, horizon):\n    {body}")
    lines.append("def rollout(context, horizon, actions, prompts, seeds):")
    lines.append("    return globals()['case_' + prompts[0]](context, horizon)\n")
    with started(tmp_path_factory.mktemp("wrong"), "\n".join(lines)) as running:
        yield running


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_errors_of_the_model_are_passed_on(wrong_server, load, number) -> None:
    _, kind, words = WRONG[number]
    model = load(wrong_server.url)
    for _ in range(2):  # the server goes on after an error
        with pytest.raises(kind, match=words) as caught:
            roll(model, prompts=[str(number)] * 2)
    assert type(caught.value) is kind and len(str(caught.value).splitlines()) == 1


# Servers that misbehave.


def told(load, url: str, **model_args) -> str:
    """The message of a server that cannot be used."""
    with pytest.raises(ModelError) as caught:
        load(url, **model_args)
    text = str(caught.value)
    lines = text.splitlines()
    assert 1 <= len(lines) <= 2 and all(line.isprintable() and len(line) < 500 for line in lines)
    return text


def test_no_server(load) -> None:
    with raw_server() as server:
        pass
    text = told(load, server.url)
    assert "nothing listens there.\nStart it there: python serve_model.py my_model.py --port" in text
    assert "(made by `physbench models serve-template`)" in text
    assert "is not known" in told(load, "http://no-such-host.invalid:8800")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (card_answer(protocol=2), "speaks version 2 of the protocol, this physbench speaks version 1"),
        (card_answer(protocol="1"), "speaks no version"),
        (card_answer(protocol=True), "speaks no version"),
        (respond(b'{"protocol": 1}'), "holds no card"),
        (respond(b"[" * 60000), "expected a JSON object"),
        (respond(b"<!DOCTYPE html><html>hello"), "a JSON object.\nIs this the right port, and is serve_model.py"),
        (respond(b"\xff\xfe"), "expected a JSON object"),
        (respond(b"x" * 70000), "expected a card of at most 65536 bytes"),
        (respond(b"no", "404 Not Found"), "answers with status 404.\nIs this the right port, and is serve_model.py"),
        (respond(b'{"error": "not \x1b[31m here"}', "404 Not Found"), "answers with status 404."),
        (respond(json.dumps({"error": "a\x1b[2J\nb\u202e" + "x" * 999}).encode(), "418 T"), "status 418: a\ufffd[2J b"),
        (respond(b"", "401 Unauthorized"), "refuses access (401). Set PHYSBENCH_HTTP_TOKEN, or"),
        (respond(b"", "302 Found", "Location: http://elsewhere/"), "redirects to http://elsewhere/. Redirects are not"),
        (respond(b"abc", "200 OK", "Content-Encoding: gzip"), "compressed form"),
        (respond(b"", "503 Unavailable"), "status 503"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"),
        (b"\x00\x01\x02\x1b[31m\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", "does not speak HTTP"),
        (card_answer(image_size=[16, 16]), "between 32 and 2048 px"),
        (card_answer(image_size="64"), "expected image_size"),
        (card_answer(image_size=[10**30, 64]), "between 32 and 2048 px"),
        (card_answer(fps=float("nan")), "expected 4 to 60 frames/s"),
        (card_answer(fps=10**400), "expected 4 to 60 frames/s"),
        (card_answer(context_frames=10**9, repeat_first=True), "at most 1000 context frames"),
        (card_answer(context_frames=None), "context_frames to be a whole number"),
        (card_answer(max_horizon=0), "max_horizon of at least 1"),
        (card_answer(stochastic="no"), "stochastic to be True or False"),
        (card_answer(track="privileged"), "cannot be privileged"),
        (card_answer(name="a\x1b[31m"), "name of printable characters"),
        (card_answer(name="x" * 201), "at most 200 characters"),
        (card_answer(name={"a": 1}), "name of printable characters"),
        (card_answer(use_actions=True), "unknown field 'use_actions'. Did you mean uses_actions"),
        (card_answer(**{"\x1b[31m": 1}), "unknown field"),
        (respond(json.dumps({"protocol": 1, "card": {"name": "a"}}).encode()), "lacks image_size, fps, context_frames"),
        (respond(json.dumps({"protocol": 1, "card": CARD, "model_sha256": "no"}).encode()), "64 digits"),
    ],
)
def test_cards_that_cannot_be_used(load, answer, words) -> None:
    with raw_server(answer) as server:
        assert words in told(load, server.url)


def test_a_server_that_never_answers(load) -> None:
    with raw_server(lambda *_: time.sleep(5)) as server:
        assert told(load, server.url, wait="0.3") == f"No answer from {server.url} within 0.3 s."


def test_a_card_that_drips(load) -> None:
    def drip(connection, path, body):
        for letter in card_answer().decode():
            connection.sendall(letter.encode())
            time.sleep(0.1)

    with raw_server(drip) as server:
        begun = time.monotonic()
        assert "No answer from" in told(load, server.url, wait="0.5")
        assert time.monotonic() - begun < 20


def test_a_connection_that_is_lost_in_the_card(load) -> None:
    def half(connection, path, body):
        connection.sendall(card_answer()[:-20])
        return False

    for answer, words in ((half, "the connection was lost in the card"), (lambda *_: False, "closed the connection")):
        with raw_server(answer) as server, pytest.raises(LostConnectionError, match=words):
            load(server.url)


BLOCK = pack_head({"frames": 5})


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (blocks(2, 5) + b"x", ModelError, "more than the 5 frames .* A frame of 32x40x3 uint8 has 3,840 bytes"),
        (blocks(2, 5) + bytes(2 * 5 * 3840 * 3), ModelError, "are the frames uint8, and of this size?"),
        (blocks(2, 1) + b"\x80" * 2 * 3840 * 3, ModelError, "got one of 2155905152. A frame of 32x40x3 uint8 has"),
        (blocks(2, 1) + b"\0\0\0\x0d" + b"{}" * 9, ModelError, "got one of 218103808. A head is a little-endian"),
        (b'{"frames": 5}', ModelError, "of at most 65536 bytes, got .* A head is a little-endian uint32, its length,"),
        (blocks(2, 6), ModelError, "a block of 1 to 5 frames, got 6"),
        (blocks(2, 3, 3), ModelError, "a block of 1 to 2 frames, got 3"),
        (pack_head({"frames": 0}), ModelError, "got 0"),
        (pack_head({"frames": -1}), ModelError, "got -1"),
        (pack_head({"frames": True}), ModelError, "got no number"),
        (pack_head({"frames": 10**40}), ModelError, "got no number"),
        (pack_head({"frames": "5"}), ModelError, "got no number"),
        (pack_head({}), ModelError, "got no number"),
        (b"\xff\xff\xff\xff" + b"x" * 100, ModelError, "of at most 65536 bytes, got one of 4294967295"),
        (b"\x02\0\0\0[]", NoJsonError, "expected a JSON object"),
        (pack_head({"error": "a\x1b[31mb"}), ServedModelError, "a\N{REPLACEMENT CHARACTER}.31mb"),
        (pack_head({"error": {"a": 1}, "kind": [1]}), ServedModelError, "{'a': 1}"),
        (pack_head({"error": "full", "kind": "memory"}), ServedMemoryError, "full"),
        (b"", ModelError, "the answer ended after 0 of 38,400 bytes of frames; expected 2 clips, each of 5 frames of"),
        (b"\x05", ModelError, "the answer ended after 0 of 38,400 bytes of frames"),
        (BLOCK[:-3], ModelError, "the answer ended after 0 of 38,400 bytes of frames"),
        (blocks(2, 3), ModelError, "the answer ended after 23,040 of 38,400 bytes of frames"),
        (blocks(2, 3) + BLOCK[:2], ModelError, "the answer ended after 23,040 of 38,400 bytes of frames"),
        (blocks(2, 5)[:-1], ModelError, "the answer ended after 38,399 of 38,400 bytes of frames"),
        (blocks(1, 5), ModelError, "ended after 19,200 of 38,400 bytes .* each of 5 frames of 32x40x3 uint8"),
    ],
)
def test_answers_that_cannot_be_used(load, body, kind, words) -> None:
    with raw_server(rollout=respond(body, kind=MEDIA_TYPE)) as server:
        model = load(server.url)
        with pytest.raises(kind, match=words) as caught:
            roll(model)
        assert type(caught.value) is kind and str(caught.value).isprintable()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FIVE = b"%x\r\n%s\r\n" % (len(blocks(2, 5)), blocks(2, 5))
FOUR = b"%x\r\n%s\r\n" % (len(blocks(2, 4)), blocks(2, 4))  # frames, as one chunk


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (CHUNKED + FOUR + b"0\r\n\r\n", ModelError, "the answer ended after 30,720 of 38,400 bytes"),
        (CHUNKED + FOUR, LostConnectionError, "lost after 4 of 5 frames"),
        (CHUNKED + FOUR[:-99], LostConnectionError, "lost after 0 of 5 frames"),
        (CHUNKED + FOUR + b"64\r\nabc", LostConnectionError, "lost after 4 of 5 frames"),
        (respond(blocks(2, 4), length=38_500, kind=MEDIA_TYPE), LostConnectionError, "lost after 4 of 5 frames"),
        (respond(blocks(2, 5)[:-1], length=38_500, kind=MEDIA_TYPE), LostConnectionError, "lost after 0 of 5 frames"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + blocks(2, 4), LostConnectionError, "lost after 4 of 5 frames"),
        (
            respond(blocks(2, 5), length=40_000, kind=MEDIA_TYPE),
            LostConnectionError,
            "5 of 5 frames, 1,5.. bytes short",
        ),
        (respond(blocks(2, 2, 3), length=38_437, kind=MEDIA_TYPE), LostConnectionError, "5 of 5 frames, . bytes short"),
        (CHUNKED + FIVE, LostConnectionError, "lost after 5 of 5 frames"),
    ],
)
def test_an_answer_that_is_too_short_and_one_that_is_cut_off(load, answer, kind, words) -> None:
    """The model is to blame for the first, whose declared length or last chunk has come.

    A reading library that takes an answer shorter than its Content-Length: psf/requests#4956.
    """

    def send_and_close(connection, path, body):
        connection.sendall(answer)
        return False

    with raw_server(rollout=send_and_close) as server:
        model = load(server.url)
        with pytest.raises(kind, match=words) as caught:
            roll(model)
        assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (respond(b'{"error": "no", "kind": "raised"}', "500 E"), ServedModelError, ": no"),
        (respond(b"<html>", "500 E"), ModelError, "/v1/rollout answers with status 500"),
        (respond(b'{"error": "bad shape", "kind": "request"}', "400 Bad"), ModelError, "status 400: bad shape"),
        (respond(b"", "502 Bad Gateway"), NoServerError, "status 502"),
        (respond(b"", "307 T", "Location: http://127.0.0.1:1/"), ModelError, "Redirects are not followed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", LostConnectionError, "lost after 0 of 5"),
    ],
)
def test_refusals_of_a_rollout(load, answer, kind, words) -> None:
    with raw_server(rollout=answer) as server:
        model = load(server.url)
        with pytest.raises(kind, match=words) as caught:
            roll(model)
        assert str(caught.value).isprintable()


def test_gigabytes_are_not_read(load) -> None:
    sent = 0

    def flood(connection, path, body):
        nonlocal sent
        connection.sendall(respond(blocks(2, 5), length=1 << 40, kind=MEDIA_TYPE))
        while True:
            sent += connection.send(bytes(1 << 20))

    with raw_server(rollout=flood) as server:
        model = load(server.url)
        with pytest.raises(ModelError, match="more than the 5 frames"):
            roll(model)
        time.sleep(0.3)
        before = sent
        time.sleep(0.3)
        assert sent == before < 1 << 26


def test_a_server_that_is_gone_is_not_waited_for(load) -> None:
    with raw_server(rollout=respond(blocks(2, 5), kind=MEDIA_TYPE)) as server:
        model = load(server.url)
        roll(model)
    begun = time.monotonic()
    for _ in range(5):
        with pytest.raises(NoServerError, match="there any more: it has answered before, and went away"):
            roll(model)
    assert time.monotonic() - begun < 20


# Tokens.


def test_a_token_is_asked_for_and_never_shown(tmp_path, load, monkeypatch) -> None:
    with started(tmp_path, MODEL, "--token-file", "token") as server:
        token = (tmp_path / "token").read_text().strip()
        assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600 and len(token) > 30
        assert "refuses access (a token is needed). Set PHYSBENCH_HTTP_TOKEN" in told(load, server.url)
        monkeypatch.setenv("PHYSBENCH_HTTP_TOKEN", "another")
        text = told(load, server.url)
        assert "refuses access (the token is wrong). The token in PHYSBENCH_HTTP_TOKEN is not the server's." in text
        assert "Set " not in text
        (tmp_path / "old").write_text("an-old-one")
        assert f"The token in {tmp_path / 'old'} is not the server's." in told(
            load, server.url, token_file=str(tmp_path / "old")
        )
        monkeypatch.setenv("PHYSBENCH_HTTP_TOKEN", "wrong")  # a word of the server's own
        assert "refuses access (the token is wrong)." in told(load, server.url)
        model = load(server.url, token_file=str(tmp_path / "token"))
        assert roll(model).shape == (2, 5, *SIZE, 3)
        monkeypatch.setenv("PHYSBENCH_HTTP_TOKEN", token)
        assert roll(load(server.url)).shape == (2, 5, *SIZE, 3)
        server.stop()
        assert token not in "".join(server.said) + repr(vars(model))


def test_a_server_that_repeats_the_token(load, monkeypatch) -> None:
    monkeypatch.setenv("PHYSBENCH_HTTP_TOKEN", "s3cret")
    with raw_server(respond(b'{"error": "you sent s3cret"}', "400 Bad")) as server:
        text = told(load, server.url)
    assert "you sent ***" in text and "s3cret" not in text


@pytest.mark.parametrize("held", ["", "two words", "line\nline", "\x1b[31m", "é"])
def test_files_that_hold_no_token(tmp_path, load, held) -> None:
    path = tmp_path / "token"
    path.write_text(held)
    with raw_server() as server:
        assert "holds no token" in told(load, server.url, token_file=str(path))
        assert "cannot be read" in told(load, server.url, token_file=str(tmp_path / "none"))


# Addresses and arguments.


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://user:s3cret@host:80", "without user or password"),
        ("http://host:80?token=s3cret", "without ? and #"),
        ("http://host:80/#s3cret", "without ? and #"),
        ("http://", "Expected http://HOST:PORT"),
        ("http:localhost:8800", "Expected http://HOST:PORT"),
        ("http://host:99999", "got http://host:99999: a port is a number from 1 to 65535."),
        ("http://host:0x1", "got http://host:0x1: a port is a number from 1 to 65535."),
        ("http://host:abc", "got http://host:abc: a port is a number from 1 to 65535."),
        ("http://ho st:80", "Expected http://HOST:PORT"),
        ("http://ho\x1b[31mst:80", "Expected http://HOST:PORT"),
        ("https://", "Expected http://HOST:PORT"),
    ],
)
def test_addresses_that_are_none(target, words) -> None:
    with pytest.raises(ModelError) as caught:
        check_target(target)
    assert words in str(caught.value) and "s3cret" not in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("target", ["localhost:8800", "127.0.0.1:8800", "gpu-7.example.org:8800/models/a"])
def test_addresses_without_http(target) -> None:
    with pytest.raises(ModelError, match=f"For a model behind a server give http://{target}"):
        check_target(target)


@pytest.mark.parametrize(("key", "words"), [("tokenfile", "Did you mean token_file"), ("wait", "expected seconds")])
def test_arguments_that_are_none(load, key, words) -> None:
    with raw_server() as server:
        assert words in told(load, server.url, **{key: "x"})
