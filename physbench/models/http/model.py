"""A model behind a server, and the messages of its protocol (docs/models/http.md), each checked as it arrives.

A server is in `serve_model`.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from physbench.models.http.connection import (
    LONGEST_CALL,
    NO_ANSWER,
    LostConnectionError,
    NoServerError,
    ServerConnection,
    ServerRefusalError,
    read_whole,
)
from physbench.models.http.serve_model import (
    BOUNDS,
    CARD_PATH,
    HEAD_LENGTH,
    MEDIA_TYPE,
    PROTOCOL,
    ROLLOUT_PATH,
    pack_head,
)
from physbench.models.protocol import ModelCard
from physbench.models.safetensors_files import read_card
from physbench.support.arrays import Image
from physbench.support.errors import ModelError, PhysbenchError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SURPRISE_PATH = "/v1/surprise"


class BytesSource(Protocol):
    """An answer that is read from its start to its end."""

    def read(self, amount: int) -> bytes: ...

    def readinto(self, buffer: Any) -> int: ...


class NoJsonError(ModelError):
    """A text is no JSON object."""


class ShortAnswerError(EOFError):
    """The answer ends before its last frame: it is too short, or the connection is lost."""


class ServedModelError(PhysbenchError):
    """The model behind the server raised an error."""


class ServedMemoryError(PhysbenchError, MemoryError):
    """The model behind the server says that its memory is full: smaller batches may fit."""


@dataclass(frozen=True)
class ServedCard:
    """Model card and hash that a server states."""

    card: ModelCard
    sha256: str | None  # as the server says; nobody has checked it


def parse_document(text: bytes, where: str) -> dict[str, Any]:
    """A JSON object. Raises NoJsonError for everything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise NoJsonError(f"{where}: expected a JSON object.")
    return document


def parse_card(text: bytes, where: str) -> ServedCard:
    """Read the answer to GET /v1/card.

    where: The server, for messages. Raises ModelError: the version or the card is not what it must be.
    """
    document = parse_document(text, f"{where}/v1/card")
    version = document.get("protocol")
    if version != PROTOCOL or isinstance(version, bool):
        spoken = f"version {version}" if type(version) is int and abs(version) < 10**6 else "no version"
        raise ModelError(f"{where} speaks {spoken} of the protocol, this physbench speaks version {PROTOCOL}.")
    fields = document.get("card")
    if not isinstance(fields, dict):
        raise ModelError(f"{where}: the answer holds no card.")
    try:
        card = read_card(fields, where)
    except (ModelError, OverflowError) as error:
        raise ModelError(f"{error!s:.400}") from None
    if not card.sees_pictures:
        raise ModelError(f"{where}: a model behind a server answers with frames or surprise, not with {card.answers}.")
    if card.track == "privileged":
        raise ModelError(f"{where}: a model behind a server is not given the clips, so that it cannot be privileged.")
    sha256 = document.get("model_sha256")
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)):
        raise ModelError(f"{where}: expected model_sha256 to be null or 64 digits in small letters.")
    return ServedCard(card, sha256)


def pack_request(
    context: Image,
    *,
    horizon: int,
    actions: NDArray[np.float32] | None,
    prompts: Sequence[str],
    seeds: Sequence[int],
    whole: bool = False,
) -> list[bytes | memoryview]:
    """The body of POST /v1/rollout, or of POST /v1/surprise, in parts.

    Args:
        context: (B, C, H, W, 3); of whole films (B, C + horizon, H, W, 3).
        horizon: Frames wanted; of films those whose surprise is wanted.
        actions: (B, C + horizon, 6), or in the model's own space.
        prompts: B texts.
        seeds: B numbers below 2**53, which every JSON library holds exactly.
        whole: Whether these are whole films.
    """
    batch, frames, height, width, _ = context.shape
    frames -= horizon if whole else 0
    head = pack_head(
        {
            "protocol": PROTOCOL,
            "batch": batch,
            "context_frames": frames,
            "height": height,
            "width": width,
            "horizon": horizon,
            "seeds": list(seeds),
            "prompts": list(prompts),
            "actions": actions is not None,
            **({} if actions is None else {"action_values": actions.shape[-1]}),
        }
    )
    if len(head) > BOUNDS.request_head:
        raise ModelError(f"The prompts of {batch} clips are too long for one request: take a smaller --batch-size.")
    body: list[bytes | memoryview] = [head, np.ascontiguousarray(context).data.cast("B")]
    if actions is not None:
        body.append(np.ascontiguousarray(actions, dtype="<f4").tobytes())
    return body


def read_blocks(
    source: BytesSource, batch: int, horizon: int, size: tuple[int, int], where: str, say: Callable[[object], str]
) -> Iterator[Image]:
    """Read the answer to POST /v1/rollout, block by block.

    Args:
        source: The answer's body.
        horizon: Frames that were asked for.
        size: (height, width) px.
        where: The server, for messages.
        say: Makes the server's words printable.

    Yields:
        Blocks (batch, t, height, width, 3) whose lengths add up to `horizon`.

    Raises:
        ModelError: The answer is not of this form.
        ServedModelError, ServedMemoryError: The server says that the model raised an error.
        ShortAnswerError: The answer ends in the middle.
    """
    form = f"{size[0]}x{size[1]}x3 uint8"
    frame_bytes = size[0] * size[1] * 3
    doubt = f"A frame of {form} has {frame_bytes:,} bytes: are the frames uint8, and of this size?"
    done = got = 0  # frames of each clip; bytes of frames
    while done < horizon:
        try:
            head = _read_head(source, where, doubt if done else "")
        except ShortAnswerError:
            raise _too_short(where, got, batch, horizon, form, frame_bytes) from None
        if "error" in head:
            raise_served(say(head["error"]), head.get("kind"), where)
        count = head.get("frames")
        if type(count) is not int or not 1 <= count <= horizon - done:
            shown = f"{count}" if type(count) is int and abs(count) < 10**9 else "no number"
            raise ModelError(f"{where}: expected a block of 1 to {horizon - done} frames, got {shown}.")
        frames = np.empty((batch, count, *size, 3), dtype=np.uint8)
        filled = _fill(source, frames.data.cast("B"))
        got += filled
        if filled < frames.nbytes:
            raise _too_short(where, got, batch, horizon, form, frame_bytes)
        done += count
        yield frames
    rest = source.read(HEAD_LENGTH.size)
    if rest:
        raise ModelError(f"{where} sends more than the {horizon} frames that were asked for. {doubt}")


def read_surprise(source: BytesSource, films: int, frames: int, where: str) -> NDArray[np.float64]:
    """Read the answer to POST /v1/surprise: {"surprise": numbers (films, frames)}, null where there is none.

    Raises:
        EOFError: The answer ends before its stated length.
        ModelError: It is not of this form.
    """
    most = films * frames * 40 + BOUNDS.head  # bytes of a number in an answer, at most
    text = source.read(most + 1)
    left: int | None = getattr(source, "length", None)  # of an answer that states one, bytes to come
    if len(text) <= most and left:
        raise EOFError
    values = parse_document(text, f"{where}{SURPRISE_PATH}").get("surprise") if len(text) <= most else None
    try:
        raw = np.array(values, dtype=object)
        numbers = all(value is None or type(value) in (int, float) for value in raw.flat)
        surprise = raw.astype(np.float64) if numbers else np.empty(0)
    except (ValueError, TypeError, OverflowError):
        surprise = np.empty(0)
    if surprise.shape != (films, frames):
        got = f", got the shape {surprise.shape}" if surprise.ndim == 2 else ""
        raise ModelError(f"{where}: expected the surprise of {films} films, each a list of {frames} numbers{got}.")
    return surprise


def _too_short(where: str, got: int, batch: int, horizon: int, form: str, frame_bytes: int) -> ShortAnswerError:
    """The error of an answer with `got` bytes of frames, of each `frame_bytes`."""
    clips = f"{batch} clips, each of " if batch > 1 else ""
    return ShortAnswerError(
        f"{where}: the answer ended after {got:,} of {batch * horizon * frame_bytes:,} bytes of frames; "
        f"expected {clips}{horizon} frames of {form}."
    )


def raise_served(message: str, kind: object, where: str) -> None:
    """Raise what the server says of its model."""
    if kind == "memory":
        raise ServedMemoryError(f"{where}: {message}")
    if kind == "frames":
        raise ModelError(f"{where}: {message}")
    raise ServedModelError(f"{where}: {message}")


def _read_head(source: BytesSource, where: str, doubt: str) -> dict[str, Any]:
    """The head of a block. `doubt`: what else may be wrong after a block of frames, which may have been longer."""
    length = bytearray(HEAD_LENGTH.size)
    if _fill(source, memoryview(length)) < len(length):
        raise ShortAnswerError
    (size,) = HEAD_LENGTH.unpack(length)
    if size > BOUNDS.head:
        swapped = int.from_bytes(length, "big") <= BOUNDS.head
        hint = "A head is a little-endian uint32, its length, and then JSON." if swapped or not doubt else doubt
        raise ModelError(
            f"{where}: expected the head of a block, of at most {BOUNDS.head} bytes, got one of {size}. {hint}"
        )
    text = bytearray(size)
    if _fill(source, memoryview(text)) < size:
        raise ShortAnswerError
    return parse_document(bytes(text), f"{where}, head of a block")


def _fill(source: BytesSource, view: memoryview) -> int:
    """Read until the view is full or the answer ends. Returns the number of bytes."""
    done = 0
    while done < len(view) and (count := source.readinto(view[done:])):
        done += count
    return done


SEED_BOUND = 2**53  # every JSON library holds whole numbers below it exactly


class HttpModel:
    """A model that answers over HTTP. `reported_sha256` is what the server says; `notes` are for readers of the run."""

    def __init__(self, connection: ServerConnection, seconds: float) -> None:
        """Ask for the card; the model may take `seconds` to be loaded."""
        self._connection = connection
        url = connection.address.url
        right_port = "Is this the right port, and is serve_model.py (or the protocol, docs/models/http.md) there?"
        try:
            response = connection.request("GET", CARD_PATH, seconds)
        except ServerRefusalError as error:
            raise ModelError(f"{error}\n{right_port}") from None
        try:
            text = read_whole(response, BOUNDS.head)
        except TimeoutError:
            raise NoServerError(f"{NO_ANSWER}{url}: its card did not arrive within {seconds:g} s.") from None
        except (OSError, EOFError, HTTPException):
            raise LostConnectionError(f"{NO_ANSWER}{url}: the connection was lost in the card.") from None
        if len(text) > BOUNDS.head:
            connection.close()
            raise ModelError(f"{url}: expected a card of at most {BOUNDS.head} bytes, got more.")
        try:
            served = parse_card(text, url)
        except NoJsonError as error:
            raise ModelError(f"{error}\n{right_port}") from None
        self.card: ModelCard = served.card
        self.reported_sha256 = served.sha256
        self.notes = connection.warnings()
        if served.sha256:
            self.notes.append(f"{url} reports the SHA-256 {served.sha256}, which nobody has checked.")

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        """Ask the server for the frames, and yield them as they arrive (see `FrameModel`)."""
        import torch

        body = pack_request(
            as_levels(context),
            horizon=horizon,
            actions=None if actions is None else actions.float().cpu().numpy(),
            prompts=prompts,
            seeds=draw_seeds(generators, SEED_BOUND),
        )
        float_frames = 16  # made at once of a block: floats take four times the memory
        for block in self._blocks(body, len(context), horizon):
            for start in range(0, block.shape[1], float_frames):
                planes = np.ascontiguousarray(np.moveaxis(block[:, start : start + float_frames], -1, 2))
                yield torch.from_numpy(planes).to(context.device).float().div_(255)

    def surprise(
        self,
        video: Tensor,
        *,
        context: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Ask the server how surprised its model is by films (see `SurpriseModel`)."""
        import torch

        films, frames = video.shape[:2]
        body = pack_request(
            as_levels(video),
            horizon=frames - context,
            actions=None,
            prompts=prompts,
            seeds=draw_seeds(generators, SEED_BOUND),
            whole=True,
        )
        url = self._connection.address.url
        with self._answered(SURPRISE_PATH, body, lambda: "a part of the surprise") as response:
            values = read_surprise(response, films, frames, url)
        return torch.from_numpy(values).to(video.device, torch.float32)

    def _blocks(self, body: list[bytes | memoryview], batch: int, horizon: int) -> Iterator[Image]:
        """The blocks of an answer. A connection whose answer was not read to its end is closed."""
        connection, url, done = self._connection, self._connection.address.url, 0
        with self._answered(ROLLOUT_PATH, body, lambda: f"{done} of {horizon} frames") as response:
            try:
                for block in read_blocks(response, batch, horizon, self.card.image_size, url, connection.say):
                    done += block.shape[1]
                    yield block
            except ShortAnswerError as error:
                if _has_all(response):
                    raise ModelError(str(error)) from None
                raise
            if response.length:
                raise LostConnectionError(
                    f"{NO_ANSWER}{url}: the connection was lost after {done} of {horizon} frames, {response.length:,} "
                    "bytes short of the Content-Length that was sent."
                )

    @contextmanager
    def _answered(self, path: str, body: list[bytes | memoryview], so_far: Callable[[], str]) -> Iterator[HTTPResponse]:
        """An answer, which the caller reads to its end. A connection whose answer was not is closed.

        so_far: What has arrived, for messages.
        """
        connection, url = self._connection, self._connection.address.url
        whole = False
        try:
            yield connection.request("POST", path, LONGEST_CALL, body, MEDIA_TYPE)
            whole = True
        except ServerRefusalError as error:
            if error.status == 500 and error.message:
                raise_served(error.message, error.kind, url)
            raise
        except TimeoutError:
            raise NoServerError(f"{NO_ANSWER}{url} after {so_far()}.") from None
        except (OSError, EOFError, HTTPException, ssl.SSLError):
            raise LostConnectionError(f"{NO_ANSWER}{url}: the connection was lost after {so_far()}.") from None
        finally:
            if not whole:
                connection.close()


def _has_all(response: HTTPResponse) -> bool:
    """True if an answer that was read to its end is as long as the server declared it.

    One in chunks has its last chunk: without it, reading raises IncompleteRead. One without a declared length may have
    lost its end.
    """
    return response.chunked or response.length == 0


def as_levels(frames: Tensor) -> Image:
    """Frames (..., 3, H, W) in [0, 1] -> (..., H, W, 3) uint8."""
    import torch

    levels: Image = frames.float().mul(255).round().to(torch.uint8).movedim(-3, -1).contiguous().cpu().numpy()
    return levels


def draw_seeds(generators: Sequence[torch.Generator], bound: int) -> list[int]:
    """A whole number below `bound` from each generator."""
    import torch

    return [int(torch.randint(bound, (), generator=g, device=g.device)) for g in generators]
