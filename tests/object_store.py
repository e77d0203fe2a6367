"""A server that speaks the protocol of S3, on this machine, and what is in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest

BUCKET = "bench"


def store_here() -> Any:
    """A file system of this process, which a fork does not share."""
    from fsspec.core import url_to_fs

    return url_to_fs(f"s3://{BUCKET}", skip_instance_cache=True, use_listings_cache=False)[0]


@contextmanager
def object_store() -> Iterator[Any]:
    """Start the server with an empty bucket; the environment names it in here. Yields its file system.

    What another server of this process held is forgotten: moto keeps it by process.
    """
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        fs = store_here()
        fs.mkdir(BUCKET)
        try:
            yield fs
        finally:
            server.stop()
