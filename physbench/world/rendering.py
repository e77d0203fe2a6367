"""Pictures of a scene by PyBullet's TinyRenderer (CPU), with 2x supersampling.

What never moves is drawn once per clip, what moves once per frame, and the nearer of the two is taken pixel by pixel:
the same pixels as a picture of everything, several times faster, and what each body hides comes for free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.world._bullet import Client
from physbench.world.meshes import body_mesh, silhouette_areas
from physbench.world.scene import BACKGROUND_GREY, PALETTE, Body, Camera, RenderSpec, Scene

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

SUPERSAMPLING = 2
AMBIENT, DIFFUSE = 0.75, 0.20
NEAR, FAR = 10.0, 40.0  # m from the camera
NOWHERE = (1e4, 1e4, 1e4)  # m; where a body that is not shown waits


@dataclass(frozen=True, eq=False)
class Rendered:
    """Frames with what is seen of each body, and what would be seen of it alone in an endless image."""

    frames: Image  # (T, H, W, 3)
    visible_area: NDArray[np.float32]  # (T, N) px
    full_area: NDArray[np.float32]  # (T, N) px


@dataclass(frozen=True, eq=False)
class Layer:
    """One picture at the supersampled size."""

    rgb: Image  # (h, w, 3)
    depth: NDArray[np.float32]  # (h, w), 0..1
    body: NDArray[np.int32]  # (h, w) index into the scene's bodies, -1 where there is none


class Stage:
    """Some bodies of a scene before its camera, in an own client.

    bodies: indices of those that are on stage; spec: size of the pictures that are averaged down from them.
    """

    def __init__(self, scene: Scene, bodies: Sequence[int], spec: RenderSpec) -> None:
        self.scene, self.bodies, self.spec = scene, tuple(bodies), spec
        self._client = Client()
        self._numbers: dict[int, int] = {}
        for index in self.bodies:
            self._numbers[index] = self._create(scene.bodies[index])
        self._index_of = np.full(len(self._numbers) + 1, -1, dtype=np.int32)  # the last one answers to number -1
        for index, number in self._numbers.items():
            self._index_of[number] = index
        self._arguments = self._camera_arguments(scene.camera, spec)

    def close(self) -> None:
        self._client.close()

    def _create(self, body: Body) -> int:
        api, client = self._client.api, self._client.id
        mesh = body_mesh(body, self.scene.camera)
        colour = (body.grey,) * 3 if body.hue is None else PALETTE[body.hue]
        shape = api.createVisualShape(
            api.GEOM_MESH,
            vertices=mesh.vertices.tolist(),
            indices=mesh.triangles.ravel().tolist(),
            normals=mesh.normals.tolist(),
            uvs=[[0.0, 0.0]] * len(mesh.vertices),
            rgbaColor=(*colour, 1.0),
            specularColor=(0, 0, 0),
            physicsClientId=client,
        )
        return int(
            api.createMultiBody(
                baseVisualShapeIndex=shape,
                basePosition=body.position,
                baseOrientation=drawn_orientation(body, body.orientation),
                physicsClientId=client,
            )
        )

    def _camera_arguments(self, camera: Camera, spec: RenderSpec) -> dict[str, object]:
        api = self._client.api
        x, y, z = camera.center
        if camera.view == "front":
            eye, up, light = (x, y - camera.distance, z), (0, 0, 1), (0, -1, 0)
        else:
            eye, up, light = (x, y, z + camera.distance), (0, 1, 0), (0, 0, 1)
        width, height = spec.width * SUPERSAMPLING, spec.height * SUPERSAMPLING
        pixel = camera.width / min(width, height) * NEAR / camera.distance  # m on the near plane
        right, top = width / 2 * pixel, height / 2 * pixel
        d = pixel / 2  # the renderer's pictures lie half a pixel off; this takes it back
        return {
            "width": width,
            "height": height,
            "viewMatrix": api.computeViewMatrix(eye, camera.center, up),
            "projectionMatrix": api.computeProjectionMatrix(-right + d, right + d, -top + d, top + d, NEAR, FAR),
            "lightDirection": light,
            "lightColor": (1, 1, 1),
            "lightAmbientCoeff": AMBIENT,
            "lightDiffuseCoeff": DIFFUSE,
            "lightSpecularCoeff": 0.0,
            "shadow": 0,
            "renderer": api.ER_TINY_RENDERER,
            "physicsClientId": self._client.id,
        }

    def show(self, time: float, states: Array) -> None:
        """Put the bodies where `states` (N, 13) says."""
        for index, number in self._numbers.items():
            body = self.scene.bodies[index]
            place = tuple(states[index, :3].tolist()) if shown(body, time) else NOWHERE
            turn = drawn_orientation(body, tuple(states[index, 3:7].tolist()))
            self._client.api.resetBasePositionAndOrientation(number, place, turn, physicsClientId=self._client.id)

    def picture(self) -> Layer:
        """Draw what is on stage now."""
        _, _, rgba, depth, mask = self._client.api.getCameraImage(**self._arguments)
        width, height = self.spec.width * SUPERSAMPLING, self.spec.height * SUPERSAMPLING
        rgb = np.asarray(rgba, dtype=np.uint8).reshape(height, width, 4)[..., :3]
        depth = np.asarray(depth, dtype=np.float32).reshape(height, width)
        return Layer(rgb, depth, self._index_of[np.asarray(mask).reshape(height, width)])


def shown(body: Body, time: float) -> bool:
    """Whether a body is drawn at `time` s."""
    return body.drawn and (body.until is None or time < body.until - 1e-9)


def drawn_orientation(body: Body, orientation: tuple[float, ...]) -> tuple[float, ...]:
    """A uniform ball looks the same however it is turned: its mesh is not turned, so that its facets do not flicker."""
    return (0.0, 0.0, 0.0, 1.0) if body.shape == "sphere" else orientation


def paint_background(layer: Layer) -> Image:
    """The picture of a layer with the background grey where there is no body."""
    rgb = layer.rgb.copy()
    rgb[layer.body < 0] = round(BACKGROUND_GREY * 255)
    return rgb


def downsample(rgb: Image) -> Image:
    """Average 2 x 2 pixels (..., 2 h, 2 w, 3) -> (..., h, w, 3), rounded to nearest."""
    wide = rgb.astype(np.uint16)
    total = wide[..., 0::2, 0::2, :] + wide[..., 0::2, 1::2, :]
    total += wide[..., 1::2, 0::2, :]
    total += wide[..., 1::2, 1::2, :]
    total += 2
    total >>= 2
    return total.astype(np.uint8)


def _is_static(body: Body) -> bool:
    return body.role == "fixed" and body.until is None


def static_layer(scene: Scene, spec: RenderSpec, hueless: bool = True) -> Image:
    """The known background (H, W, 3): what never moves, without the bodies that have a hue (hueless=False: with them)."""
    keep = [
        i
        for i, body in enumerate(scene.bodies)
        if _is_static(body) and body.drawn and not (hueless and body.hue is not None)
    ]
    stage = Stage(scene, keep, spec)
    try:
        return downsample(paint_background(stage.picture()))
    finally:
        stage.close()


def render(scene: Scene, times: Sequence[float] | Array, states: Array, spec: RenderSpec) -> Rendered:
    """Draw a simulated scene.

    times: (T,) s; states: (T, N, 13). A plane has no full area: it is given its visible one.
    """
    drawn = [i for i, body in enumerate(scene.bodies) if body.drawn]
    behind = Stage(scene, [i for i in drawn if _is_static(scene.bodies[i])], spec)
    front = Stage(scene, [i for i in drawn if not _is_static(scene.bodies[i])], spec)
    try:
        return _compose(scene, np.asarray(times, dtype=np.float64), states, spec, behind.picture(), front)
    finally:
        behind.close()
        front.close()


def _compose(scene: Scene, times: Array, states: Array, spec: RenderSpec, static: Layer, moving: Stage) -> Rendered:
    count = len(scene.bodies)
    picture = paint_background(static)
    frames = np.empty((len(times), spec.height, spec.width, 3), dtype=np.uint8)
    frames[:] = downsample(picture)
    visible = np.empty((len(times), count))
    visible[:] = np.bincount(static.body.ravel() + 1, minlength=count + 1)[1:]
    previous = None
    for t, time in enumerate(times):
        pose = [
            (i, *states[t, i, : 3 if scene.bodies[i].shape == "sphere" else 7])
            for i in moving.bodies
            if shown(scene.bodies[i], time)
        ]
        if t > 0 and pose == previous:
            frames[t], visible[t] = frames[t - 1], visible[t - 1]
            continue
        previous = pose
        if not pose:
            continue
        moving.show(float(time), states[t])
        layer = moving.picture()
        box = _bounding_box(layer.body >= 0)
        if box is None:
            continue
        patch = picture[box].copy()
        nearer = layer.depth[box] < static.depth[box]
        nearer &= layer.body[box] >= 0
        patch[nearer] = layer.rgb[box][nearer]
        frames[t][_halve(box)] = downsample(patch)
        visible[t] += np.bincount(layer.body[box][nearer], minlength=count)
        hidden = static.body[box][nearer]
        visible[t] -= np.bincount(hidden + 1, minlength=count + 1)[1:]
    visible /= SUPERSAMPLING**2
    full = np.stack(
        [silhouette_areas(scene, i, times, states[:, i], spec, visible[:, i]) for i in range(count)], axis=1
    )
    return Rendered(frames, visible.astype(np.float32), full.astype(np.float32))


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns with anything in them, widened to even numbers."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    top, left = rows[0] // 2 * 2, columns[0] // 2 * 2
    return slice(top, rows[-1] // 2 * 2 + 2), slice(left, columns[-1] // 2 * 2 + 2)


def _halve(box: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = box
    return slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
