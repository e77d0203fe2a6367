"""Bodies before the camera of PyBullet's TinyRenderer, in a client of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from physbench.world._bullet import Client
from physbench.world.camera import eye
from physbench.world.meshes import NEAR_PLANE, body_mesh
from physbench.world.scene import PALETTE, Body, RenderSpec, Scene

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

SUPERSAMPLING = 2
AMBIENT, DIFFUSE = 0.75, 0.20
FAR_PLANE = 40.0  # m from the camera
NOWHERE = (0.0, 0.0, -1e4)  # m; where a copy waits that is not shown


@dataclass(frozen=True, eq=False)
class Layer:
    """One picture at the supersampled size (h, w)."""

    rgb: Image  # (h, w, 4), the last one without meaning
    depth: NDArray[np.float32]  # (h, w), 0 near .. 1 far or nothing
    number: NDArray[np.int32]  # (h, w) of the copy of a body, -1 where there is none


class TinyRenderer:
    """Copies of some bodies of a scene, drawn at the supersampled size of `spec`.

    copies: how many there are of each body, by its index.
    whole: draw meshes whole, also what is never seen (the pictures are the same).
    """

    def __init__(self, scene: Scene, copies: Mapping[int, int], spec: RenderSpec, *, whole: bool = False) -> None:
        self.scene, self.spec = scene, spec
        self._client = Client()
        self._arguments = self._camera_arguments()
        self._shapes = {i: self._shape(scene.bodies[i], whole) for i in copies}
        self.numbers = {i: [self._create(i) for _ in range(count)] for i, count in copies.items()}  # [body][copy]

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def __enter__(self) -> TinyRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shape(self, body: Body, whole: bool) -> int:
        api = self._client.api
        mesh = body_mesh(body, self.scene.camera, None if whole else self.spec)
        colour = (body.grey,) * 3 if body.hue is None else PALETTE[body.hue]
        number = api.createVisualShape(
            api.GEOM_MESH,
            vertices=_rows("vertices", mesh.vertices),
            indices=_indices(mesh.triangles.tobytes()),
            normals=_rows("normals", mesh.normals),
            uvs=_buffer("uvs", len(mesh.vertices), 2),
            rgbaColor=(*colour, 1.0),
            specularColor=(0, 0, 0),
            physicsClientId=self._client.id,
        )
        return int(number)

    def _create(self, index: int) -> int:
        body = self.scene.bodies[index]
        number = self._client.api.createMultiBody(
            baseVisualShapeIndex=self._shapes[index],
            basePosition=body.position,
            baseOrientation=drawn_orientation(body, body.orientation),
            physicsClientId=self._client.id,
        )
        return int(number)

    def _camera_arguments(self) -> dict[str, object]:
        api, camera = self._client.api, self.scene.camera
        front = camera.view == "front"
        width, height = self.spec.width * SUPERSAMPLING, self.spec.height * SUPERSAMPLING
        pixel = camera.width / min(width, height) * NEAR_PLANE / camera.distance  # m on the near plane
        right, top = width / 2 * pixel, height / 2 * pixel
        d = pixel / 2  # the renderer's pictures lie half a pixel off; this takes it back
        return {
            "width": width,
            "height": height,
            "viewMatrix": api.computeViewMatrix(eye(camera).tolist(), camera.center, (0, 0, 1) if front else (0, 1, 0)),
            "projectionMatrix": api.computeProjectionMatrix(
                -right + d, right + d, -top + d, top + d, NEAR_PLANE, FAR_PLANE
            ),
            "lightDirection": (0, -1, 0) if front else (0, 0, 1),  # from the camera: shades are round
            "lightColor": (1, 1, 1),
            "lightAmbientCoeff": AMBIENT,
            "lightDiffuseCoeff": DIFFUSE,
            "lightSpecularCoeff": 0.0,
            "shadow": 0,
            "renderer": api.ER_TINY_RENDERER,
            "physicsClientId": self._client.id,
        }

    def keep(self, copies: Mapping[int, int]) -> None:
        """Take away all but the first `copies` of each body: even out of sight they cost time."""
        for index, numbers in self.numbers.items():
            while len(numbers) > copies.get(index, 0):
                self._client.api.removeBody(numbers.pop(), physicsClientId=self._client.id)

    def show(self, index: int, copy: int, state: Array) -> None:
        """Put a copy of a body where its `state` (13,) says."""
        x, y, z, *turn = state[:7].tolist()
        turn = drawn_orientation(self.scene.bodies[index], turn)
        self._client.api.resetBasePositionAndOrientation(
            self.numbers[index][copy], (x, y, z), turn, physicsClientId=self._client.id
        )

    def hide(self, index: int, copy: int) -> None:
        """Put a copy of a body out of sight."""
        self._client.api.resetBasePositionAndOrientation(
            self.numbers[index][copy], NOWHERE, (0, 0, 0, 1), physicsClientId=self._client.id
        )

    def picture(self) -> Layer:
        """Draw the copies as they are placed now."""
        width, height, rgba, depth, number = self._client.api.getCameraImage(**self._arguments)
        return Layer(
            np.asarray(rgba, dtype=np.uint8).reshape(height, width, 4),
            np.asarray(depth, dtype=np.float32).reshape(height, width),
            np.asarray(number, dtype=np.int32).reshape(height, width),
        )


def drawn_orientation(body: Body, orientation: Sequence[float]) -> Sequence[float]:
    """A uniform ball looks the same however it is turned: its mesh is not turned, so that its facets do not flicker."""
    return (0.0, 0.0, 0.0, 1.0) if body.shape == "sphere" else orientation


# PyBullet never frees the lists that it is given for a mesh, nor their content: 0.4 MB a ball. So all meshes of one
# size use the same lists.


def _rows(use: str, values: Array) -> list[list[float]]:
    """Values (V, 3) as lists, which the next call for the same use and V fills anew."""
    rows = _buffer(use, *values.shape)
    for row, new in zip(rows, values.tolist(), strict=True):
        row[:] = new
    return rows


@cache
def _buffer(use: str, rows: int, columns: int) -> list[list[float]]:
    return [[0.0] * columns for _ in range(rows)]


@cache
def _indices(triangles: bytes) -> list[int]:
    """Numbers of the corners of triangles, one list for each of the few shapes that there are."""
    indices: list[int] = np.frombuffer(triangles, dtype=np.int64).tolist()
    return indices
