"""Finds models behind a server, `http://HOST:PORT`, and connects to them. Does not import NumPy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from physbench.models.adapter import Adapter
from physbench.models.http.connection import (
    LONGEST_CALL,
    TOKEN_ARGUMENT,
    TOKEN_VARIABLE,
    VIDEOS_PATH,
    ServerConnection,
    find_token,
    parse_address,
)
from physbench.models.protocol import Model
from physbench.support.errors import ModelError, nearest

if TYPE_CHECKING:
    import torch

WAIT_ARGUMENT = "wait"


class HttpAdapter(Adapter):
    """A model behind a server, in whatever environment and language; its word for what it is has no hash."""

    name = "http"
    summary = "http://HOST:PORT  a model behind a server, elsewhere, or with a videos API (docs/models/http.md)"

    def recognises(self, target: str) -> bool:
        return re.match("https?://", target) is not None

    def check(self, target: str) -> None:
        """Raise ModelError where nothing listens at the address."""
        connection = ServerConnection(parse_address(target))
        connection.connect()
        connection.close()

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        if parse_address(target).path.endswith(VIDEOS_PATH):
            from physbench.models.http.videos_api import check_names

            return check_names([key for key in model_args if key != TOKEN_ARGUMENT])
        for key in model_args:
            if key not in (TOKEN_ARGUMENT, WAIT_ARGUMENT):
                hint = nearest(key, (TOKEN_ARGUMENT, WAIT_ARGUMENT))
                raise ModelError(f"--model-arg {key}: models behind a server take no such argument.{hint}")

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        address = parse_address(target)
        place = model_args.get(TOKEN_ARGUMENT, TOKEN_VARIABLE)
        if address.path.endswith(VIDEOS_PATH):
            own = {key: text for key, text in model_args.items() if key != TOKEN_ARGUMENT}
            from physbench.models.http.videos_api import VideosApiModel

            return VideosApiModel(ServerConnection(address, find_token(model_args), place), own)
        connection = ServerConnection(address, find_token(model_args), place)
        from physbench.models.http.model import HttpModel

        return HttpModel(connection, _seconds(model_args))


def _seconds(model_args: Mapping[str, str]) -> float:
    """Longest wait for the card, s."""
    text = model_args.get(WAIT_ARGUMENT, "300.0")  # s: a server may still be loading its model
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_CALL:
        raise ModelError(f"--model-arg {WAIT_ARGUMENT}={text}: expected seconds.")
    return seconds


adapter = HttpAdapter()
