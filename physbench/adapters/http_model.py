"""Models behind a server: `http://HOST:PORT`. The protocol is in docs/models/http.md, a server in `serve_model`."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING

from physbench.adapters.http_connection import (
    NO_ANSWER,
    TOKEN_ARGUMENT,
    LostConnectionError,
    NoServerError,
    ServerConnection,
    ServerRefusalError,
    find_token,
    parse_address,
    sends_token_openly,
)
from physbench.adapters.http_protocol import Frames, pack_request, parse_card, raise_served, read_blocks
from physbench.adapters.model_protocol import Model, ModelCard
from physbench.adapters.serve_model import CARD_PATH, MAX_HEAD, MEDIA_TYPE, ROLLOUT_PATH
from physbench.errors import ModelError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WAIT_ARGUMENT = "wait"
CARD_SECONDS = 300.0  # a server may still be loading its model
LONGEST_CALL = 86_400.0  # s; --timeout ends a batch long before
SEED_BOUND = 2**53  # every JSON library holds whole numbers below it exactly
FLOAT_FRAMES = 16  # made at once of a block: floats take four times the memory


class HttpModel:
    """A model that answers over HTTP. `reported_sha256` is what the server says; `notes` are for readers of the run."""

    def __init__(self, connection: ServerConnection, seconds: float) -> None:
        """Ask for the card; the model may take `seconds` to be loaded."""
        self._connection = connection
        url = connection.address.url
        response = connection.request("GET", CARD_PATH, seconds)
        try:
            text = response.read(MAX_HEAD + 1)
        except TimeoutError:
            raise NoServerError(f"{NO_ANSWER}{url}: its card did not arrive within {seconds:g} s.") from None
        except (OSError, HTTPException):
            raise LostConnectionError(f"{NO_ANSWER}{url}: the connection was lost in the card.") from None
        if len(text) > MAX_HEAD:
            connection.close()
            raise ModelError(f"{url}: expected a card of at most {MAX_HEAD} bytes, got more.")
        served = parse_card(text, url)
        self.card: ModelCard = served.card
        self.reported_sha256 = served.sha256
        self.notes: list[str] = []

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

        seeds = [int(torch.randint(SEED_BOUND, (), generator=g, device=g.device)) for g in generators]
        levels = context.float().mul(255).round().to(torch.uint8).permute(0, 1, 3, 4, 2)
        body = pack_request(
            levels.contiguous().cpu().numpy(),
            horizon=horizon,
            actions=None if actions is None else actions.float().cpu().numpy(),
            prompts=prompts,
            seeds=seeds,
        )
        for block in self._blocks(body, len(context), horizon):
            for start in range(0, block.shape[1], FLOAT_FRAMES):
                frames = torch.from_numpy(block[:, start : start + FLOAT_FRAMES]).permute(0, 1, 4, 2, 3)
                yield frames.to(context.device).float().div_(255)

    def _blocks(self, body: list[bytes | memoryview], batch: int, horizon: int) -> Iterator[Frames]:
        """The blocks of an answer. A connection whose answer was not read to its end is closed."""
        connection, url, done = self._connection, self._connection.address.url, 0
        whole = False
        try:
            response = connection.request("POST", ROLLOUT_PATH, LONGEST_CALL, body, MEDIA_TYPE)
            for block in read_blocks(response, batch, horizon, self.card.image_size, url, connection.say):
                done += block.shape[1]
                yield block
            whole = True
        except ServerRefusalError as error:
            if error.status == 500 and error.said:
                raise_served(error.said, error.kind, url)
            raise
        except TimeoutError:
            raise NoServerError(f"{NO_ANSWER}{url} after {done} of {horizon} frames.") from None
        except (OSError, EOFError, HTTPException, ssl.SSLError):
            raise LostConnectionError(
                f"{NO_ANSWER}{url}: the connection was lost after {done} of {horizon} frames."
            ) from None
        finally:
            if not whole:
                connection.close()


class HttpAdapter:
    """A model behind a server, in whatever environment and language."""

    name = "http"
    summary = "http://HOST:PORT  a model behind a server, in another environment or language (docs/models/http.md)"

    def recognises(self, target: str) -> bool:
        return re.match("https?://", target) is not None

    def check(self, target: str) -> None:
        """Raise ModelError where nothing listens at the address."""
        connection = ServerConnection(parse_address(target))
        connection.connect()
        connection.close()

    def sha256(self, target: str) -> str | None:
        return None  # what a server says of its model cannot be checked

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return []

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        address = parse_address(target)
        for key in model_args:
            if key not in (TOKEN_ARGUMENT, WAIT_ARGUMENT):
                hint = nearest(key, (TOKEN_ARGUMENT, WAIT_ARGUMENT))
                raise ModelError(f"--model-arg {key}: models behind a server take no such argument.{hint}")
        token = find_token(model_args)
        model = HttpModel(ServerConnection(address, token), _seconds(model_args))
        if sends_token_openly(address, token):
            model.notes.append(f"The token is sent to {address.url} in the open: use https:// or a tunnel.")
        if model.reported_sha256:
            model.notes.append(f"{address.url} reports the SHA-256 {model.reported_sha256}, which nobody has checked.")
        return model


def _seconds(model_args: Mapping[str, str]) -> float:
    """How long to wait for the card."""
    text = model_args.get(WAIT_ARGUMENT, f"{CARD_SECONDS}")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_CALL:
        raise ModelError(f"--model-arg {WAIT_ARGUMENT}={text}: expected seconds.")
    return seconds


adapter = HttpAdapter()
