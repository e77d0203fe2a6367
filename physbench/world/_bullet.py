"""The only module that imports PyBullet: late, without its messages, and with a remedy where it is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from physbench.errors import PhysbenchError
from physbench.world.scene import Body


@contextmanager
def _silence() -> Iterator[None]:
    """Discard what native code prints: PyBullet prints its build time, and standard output holds data."""
    saved = {}
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        if stream is not None:
            stream.flush()
        with suppress(OSError):  # already closed
            saved[descriptor] = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in saved:
            os.dup2(nowhere, descriptor)
        yield
    finally:
        os.close(nowhere)
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)


@cache
def bullet() -> Any:
    """Return the module `pybullet`, or raise PhysbenchError with the way to install it."""
    try:
        with _silence():
            import pybullet
    except ImportError as error:
        raise PhysbenchError(
            f"PyBullet cannot be imported ({error}): pip install 'pybullet>=3.2.6'. Its wheel is for CPython 3.11 on "
            "Linux; other Pythons compile it for minutes and need a C++ compiler."
        ) from error
    return pybullet


class Client:
    """A DIRECT physics client, as a context manager."""

    def __init__(self) -> None:
        self.api = bullet()
        self.id: int = self.api.connect(self.api.DIRECT)
        if self.id < 0:
            raise PhysbenchError("PyBullet gave no physics client: more than 1,000 are open in this process.")

    def close(self) -> None:
        """Disconnect; a second call does nothing."""
        if self.id >= 0:
            self.api.disconnect(physicsClientId=self.id)
            self.id = -1

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def collision_shape(client: Client, body: Body) -> int:
    """Create the collision shape of a body and return its number."""
    api = client.api
    if body.shape == "sphere":
        options = {"shapeType": api.GEOM_SPHERE, "radius": body.size[0]}
    elif body.shape == "box":
        options = {"shapeType": api.GEOM_BOX, "halfExtents": body.size}
    elif body.shape == "cylinder":
        options = {"shapeType": api.GEOM_CYLINDER, "radius": body.size[0], "height": body.size[1]}
    else:
        options = {"shapeType": api.GEOM_PLANE, "planeNormal": (0, 0, 1)}
    return int(api.createCollisionShape(**options, physicsClientId=client.id))
