"""A model behind a server. The protocol is in docs/models/http.md, a server in `serve_model`."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING

import numpy as np

from physbench.models.http.connection import (
    LONGEST_CALL,
    NO_ANSWER,
    LostConnectionError,
    NoServerError,
    ServerConnection,
    ServerRefusalError,
    read_whole,
)
from physbench.models.http.protocol import (
    SURPRISE_PATH,
    NoJsonError,
    ShortAnswerError,
    pack_request,
    parse_card,
    raise_served,
    read_blocks,
    read_surprise,
)
from physbench.models.http.serve_model import CARD_PATH, MAX_HEAD, MEDIA_TYPE, ROLLOUT_PATH
from physbench.models.protocol import ModelCard
from physbench.support.arrays import Image
from physbench.support.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SEED_BOUND = 2**53  # every JSON library holds whole numbers below it exactly
RIGHT_PORT = "Is this the right port, and is serve_model.py (or the protocol, docs/models/http.md) there?"
FLOAT_FRAMES = 16  # made at once of a block: floats take four times the memory


class HttpModel:
    """A model that answers over HTTP. `reported_sha256` is what the server says; `notes` are for readers of the run."""

    def __init__(self, connection: ServerConnection, seconds: float) -> None:
        """Ask for the card; the model may take `seconds` to be loaded."""
        self._connection = connection
        url = connection.address.url
        try:
            response = connection.request("GET", CARD_PATH, seconds)
        except ServerRefusalError as error:
            raise ModelError(f"{error}\n{RIGHT_PORT}") from None
        try:
            text = read_whole(response, MAX_HEAD)
        except TimeoutError:
            raise NoServerError(f"{NO_ANSWER}{url}: its card did not arrive within {seconds:g} s.") from None
        except (OSError, EOFError, HTTPException):
            raise LostConnectionError(f"{NO_ANSWER}{url}: the connection was lost in the card.") from None
        if len(text) > MAX_HEAD:
            connection.close()
            raise ModelError(f"{url}: expected a card of at most {MAX_HEAD} bytes, got more.")
        try:
            served = parse_card(text, url)
        except NoJsonError as error:
            raise ModelError(f"{error}\n{RIGHT_PORT}") from None
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
        for block in self._blocks(body, len(context), horizon):
            for start in range(0, block.shape[1], FLOAT_FRAMES):
                frames = torch.from_numpy(_planar(block[:, start : start + FLOAT_FRAMES]))
                yield frames.to(context.device).float().div_(255)

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


def _planar(frames: Image) -> Image:
    """(B, t, H, W, 3) -> (B, t, 3, H, W), contiguous: the steps after this one are then twice as fast."""
    batch, count, height, width, channels = frames.shape
    planes = np.empty((batch, count, channels, height, width), dtype=np.uint8)
    for channel in range(channels):
        planes[:, :, channel] = frames[..., channel]
    return planes
