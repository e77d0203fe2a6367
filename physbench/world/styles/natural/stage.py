"""The stage of the natural look: what stands around the bodies of a scene, its lights, and what holds bodies.

Bodies keep their places, sizes and hues. What is grey becomes a material that is lighter for a lighter grey, since
greys can tell materials apart; dark greys, those of screens, stay darker than the shadows of all others, since a
tracker tells screens by their darkness.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Real
from physbench.world.bodies import DARK, is_among_stars, is_screen
from physbench.world.camera import eye, looking, pixels_per_metre, up
from physbench.world.geometry import rotate
from physbench.world.renderer import DRAWN, axis_across, drawn_size, is_plate
from physbench.world.scene import FLOOR_GREY, PALETTE, SCREEN_GREY, Body, Camera, RenderSpec, Scene, Vector

# The values of a display (sRGB, IEC 61966-2-1) and linear ones.


def linear(value: NDArray[np.floating] | float | Sequence[float]) -> NDArray[np.float64]:
    """Display values 0..1 (sRGB) -> linear ones."""
    v = np.asarray(value, dtype=np.float64)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def displayed(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Linear RGB -> sRGB levels, rounded to nearest."""
    x = np.clip(linear, 0.0, 1.0)
    value = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-6), 1 / 2.4) - 0.055)
    return np.asarray(np.rint(value * 255), dtype=np.uint8)


Kind = Literal["hall", "table", "sky"]
Texture = Literal["boards", "concrete", "terrazzo", "bricks", "plaster", "panels", "plain"]


@dataclass(frozen=True)
class StagePlaces:
    """Places of walls and floors, m."""

    wall_behind: float = 2.0  # m from the plane of motion to the wall of a hall
    shelf_wall: float = 1.0  # m, where nothing but boards on the wall carries things
    behind_bodies: float = 0.2  # m from what stands farthest back to the wall, at least
    unseen_floor: float = 3.4  # m below the middle of a picture that shows no floor
    below_picture: float = 0.1  # m from the bottom of a taller picture to such a floor
    reach: float = 14.0  # m from the middle of the picture to the end of floor and wall, at least


PLACE = StagePlaces()


@dataclass(frozen=True)
class Lighting:
    """Light of the sky and of the lamp: radiances are those of a white surface that faces it.

    Soft, and from near the camera: where one side of a ball is darker, the centre of its colour is not its centre.
    """

    sky: float = 0.44
    key: float = 0.62  # at the middle of the picture
    sky_above: float = 0.66  # where the lamp hangs above, and leaves walls to the sky
    key_above: float = 0.50  # the same
    sky_space: float = 0.30  # among stars, where most comes from one side
    key_space: float = 0.80
    distance: float = 15.0  # m
    # m, so far that bodies are lit from one side all along their orbits: what that shifts stays the same
    sky_distance: float = 240.0
    radius: float = 1.7  # m, of the lamp at `distance`: shadows are soft


LIGHT = Lighting()


@dataclass(frozen=True)
class Levels:
    """Levels (0..1, on a display, in full light) of greys."""

    dark: float = DARK  # up to here a box is a screen; holders are not
    screen: float = 0.26  # of a screen
    wall: float = 0.86
    lightest: float = 0.93


LEVEL = Levels()


# The floor ends at the plane of motion in the plain look, and the tracker looks there for its edge: here a darker floor
# begins.
FRONT = 0.72
FRONT_ALBEDO = 0.5  # of which it is a part at most: the lamp is near, and a lighter floor would burn out


@dataclass(frozen=True)
class Material:
    """Material of a surface."""

    albedo: Vector  # linear RGB, mean over the surface
    texture: Texture = "plain"
    seed: int = 0
    front: float = 1.0  # factor on what lies before the plane of motion, on a floor
    marks: bool = False  # pieces of tape, which tell where a camera looks that moves
    framed: bool = False  # cloth in a frame: a screen


@dataclass(frozen=True)
class Surface:
    """An endless plane: the floor or the wall."""

    axis: int  # of its normal: 2 (up) for a floor, 1 (towards -y) for a wall
    level: float  # m along the axis
    material: Material

    @property
    def normal(self) -> Array:
        return np.array([0.0, 0.0, 1.0]) if self.axis == 2 else np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class StageBox:
    """A box, as it is seen or as it blocks light."""

    centre: Vector  # m
    half: Vector  # m
    turn: tuple[float, float, float, float]
    material: Material
    blocks_light: bool = True  # on what moves


@dataclass(frozen=True)
class Door:
    """Door on the wall of a hall."""

    left: float  # m, left edge of its leaf
    foot: float  # m, height of the floor
    handle: int  # 1: on its right, -1: on its left
    seed: int


@dataclass(frozen=True)
class Lamp:
    """A ball of light, far away."""

    position: Vector  # m
    radius: float  # m
    radiance: float

    @property
    def direction(self) -> Array:
        return np.asarray(np.asarray(self.position) / np.linalg.norm(self.position))


@dataclass(frozen=True)
class Stage:
    """All that never moves around the bodies of a scene, with its lights."""

    kind: Kind
    surfaces: tuple[Surface, ...]
    blocks: tuple[StageBox, ...]
    key: Lamp
    sky: float  # radiance
    middle: Vector  # m, of the picture
    seed: int
    door: Door | None = None  # see `materials.with_door`: it depends on the size of pictures

    @property
    def lamp_light(self) -> float:
        """Radiance of a white surface that faces the lamp at the middle of the picture."""
        return self.key.radiance * (self.key.radius / math.dist(self.key.position, self.middle)) ** 2

    @property
    def floor(self) -> Surface | None:
        return next((surface for surface in self.surfaces if surface.axis == 2), None)

    @property
    def wall(self) -> Surface | None:
        return next((surface for surface in self.surfaces if surface.axis == 1), None)


def stage_of(scene: Scene) -> Stage:
    """The stage of a scene: a hall for a side view, the ground for a view from above, a sky without ground."""
    digest = hashlib.sha256(f"physbench decor|{scene.decor}".encode()).digest()
    rng = np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest, "big")))
    kind = _kind(scene)
    above = kind == "hall" and any(is_screen(body) for body in scene.bodies)
    key = _lamp(scene, kind, above, rng)
    seed = int(rng.integers(1 << 30))
    surfaces = _surfaces(scene, kind, rng)
    blocks = () if kind == "sky" else tuple(_block(scene, body, rng) for body in scene.bodies if _stands(body))
    blocks += tuple(foot for body in scene.bodies if kind == "hall" for foot in _feet(scene, body))
    sky = LIGHT.sky_space if _from_aside(scene, kind) else LIGHT.sky_above if above else LIGHT.sky
    return Stage(kind, surfaces, blocks, key, sky, scene.camera.center, seed)


def floor_out_of_sight(stage: Stage, scene: Scene, spec: RenderSpec) -> Stage:
    """The stage with a floor that is no body of the scene below the picture, where it would hide what falls."""
    floor, wall = stage.floor, stage.wall
    if floor is None or wall is None or any(body.shape == "plane" and body.drawn for body in scene.bodies):
        return stage
    camera = scene.camera
    (_, y, z), (_, ahead_y, ahead_z), scale = up(camera), looking(camera), pixels_per_metre(camera, spec)
    # Lengths on the wall over those across the line of sight at the target, where the lowest rays meet it.
    # 0.05 of the way ahead that the lowest rays of a tall picture go, at least: others meet no wall
    lowest = max(camera.distance * ahead_y - spec.height / 2 / scale * y, 0.05 * camera.distance)
    away = (wall.level - eye(camera)[1]) / lowest
    bottom = eye(camera)[2] + away * camera.distance * ahead_z - away * spec.height / 2 / scale * z
    level = float(min(floor.level, bottom - PLACE.below_picture))
    blocks = stage.blocks
    if camera.tilt:  # what ends below the picture from afar stands on the floor, where another camera sees its foot
        edge = camera.center[2] - camera.width / 2
        blocks = tuple(_down_to(level, block) if _foot(block) < edge else block for block in blocks)
    return replace(stage, surfaces=(replace(floor, level=level), wall), blocks=blocks)


def _foot(block: StageBox) -> float:
    """Height (m) of the lower side of a box that stands upright, inf of another one."""
    return block.centre[2] - block.half[2] if abs(block.turn[3]) > 1 - 1e-9 else math.inf


def _down_to(level: float, block: StageBox) -> StageBox:
    """An upright box that ends at a height of `level` m below."""
    x, y, z = block.centre
    top = z + block.half[2]
    return replace(block, centre=(x, y, (top + level) / 2), half=(*block.half[:2], (top - level) / 2))


def level_of(grey: float) -> float:
    """Lightness (0..1, on a display, in full light) of a body of a grey."""
    return LEVEL.screen * grey / SCREEN_GREY if grey <= LEVEL.dark else min(0.28 + 0.74 * grey, LEVEL.lightest)


def body_albedo(body: Body, kind: Kind = "hall") -> Vector:
    """Linear RGB of a body that moves. Before a night sky only screens are dark: others would not be seen."""
    if body.hue is not None:
        return rgb_albedo(PALETTE[body.hue])
    lighter = kind == "sky" and not is_screen(body)
    return _tinted(level_of(max(body.grey, 0.5) if lighter else body.grey), (1.0, 0.99, 0.97))


def rgb_albedo(colour: Vector) -> Vector:
    """Linear RGB of a colour in sRGB, 0..1."""
    red, green, blue = linear(colour)
    return float(red), float(green), float(blue)


def _stands(body: Body) -> bool:
    """True if a body is part of the stage: balls and cylinders are drawn with what moves, wherever they are."""
    return body.stays and body.drawn and body.shape == "box" and body.hue is None


def bodies_of_parts(scene: Scene, stage: Stage) -> list[int]:
    """Index in Scene.bodies of what each surface, and then each block, is of; -1 of what is decor."""
    planes = [i for i, body in enumerate(scene.bodies) if body.shape == "plane" and body.drawn]
    ground = planes[0] if planes else -1
    blocks = [i for i, body in enumerate(scene.bodies) if _stands(body)] if stage.kind != "sky" else []
    parts = [ground if surface is stage.floor else -1 for surface in stage.surfaces] + blocks
    return parts + [-1] * (len(stage.surfaces) + len(stage.blocks) - len(parts))


def _kind(scene: Scene) -> Kind:
    if scene.camera.view == "front":
        return "hall"
    return "sky" if is_among_stars(scene) else "table"


def _lamp(scene: Scene, kind: Kind, above: bool, rng: np.random.Generator) -> Lamp:
    """The key light; from above where something may hide, since shadows would tell where it is."""
    side = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.22, 0.42))
    if kind == "hall":
        towards = (side * 0.3, -0.16, 1.0) if above else (0.8 * side, -1.6, 0.6)
    elif kind == "table":
        towards = (side, float(rng.uniform(0.15, 0.35)), 1.0)
    else:
        towards = ((2.0 if _from_aside(scene, kind) else 0.2) * side, float(rng.uniform(0.02, 0.07)), 1.0)
    unit = np.asarray(towards) / np.linalg.norm(towards)
    distance = LIGHT.sky_distance if kind == "sky" else LIGHT.distance
    position = np.asarray(scene.camera.center) + distance * unit
    key = LIGHT.key_space if _from_aside(scene, kind) else LIGHT.key_above if above else LIGHT.key
    radiance = key / (LIGHT.radius / LIGHT.distance) ** 2
    return Lamp(tuple(position.tolist()), LIGHT.radius * distance / LIGHT.distance, radiance)


def _from_aside(scene: Scene, kind: Kind) -> bool:
    """True if bodies are lit from one side, among stars: before a camera that turns shade costs what a shape costs."""
    return kind == "sky" and not scene.camera.path


def _tinted(level: float, tint: Vector) -> Vector:
    """Linear RGB whose display value is `level` with a cast."""
    red, green, blue = linear(np.clip(level * np.asarray(tint), 0.0, 0.96))
    return float(red), float(green), float(blue)


OFF_WHITE = (1.01, 1.0, 0.98)


def _surfaces(scene: Scene, kind: Kind, rng: np.random.Generator) -> tuple[Surface, ...]:
    if kind == "sky":
        return ()
    plane = next((body for body in scene.bodies if body.shape == "plane" and body.drawn), None)
    train = scene.decor.startswith("train")
    floors: tuple[Texture, ...] = ("terrazzo",) if train else ("boards", "concrete")
    walls: tuple[Texture, ...] = ("panels",) if train else ("bricks", "plaster")
    texture, seed = floors[int(rng.integers(len(floors)))], int(rng.integers(1 << 30))
    grey = FLOOR_GREY if plane is None else plane.grey
    stone: tuple[Vector, ...] = ((1.0, 1.0, 0.985), (1.02, 1.0, 0.955), (0.97, 1.0, 1.02))  # grey, warm, blue
    wood: tuple[Vector, ...] = ((1.055, 0.995, 0.918), (1.05, 0.995, 0.925), (1.06, 0.988, 0.925))  # oak, ash, cherry
    # In the grain, too, colours stay within 30 levels of each other: scenery is read as hued from there on.
    tints = wood if texture == "boards" else stone
    tint = tints[seed % len(tints)]
    colour = _tinted(level_of(grey), tint)
    front = FRONT * min(1.0, FRONT_ALBEDO / max(colour)) if kind == "hall" and not scene.camera.tilt else 1.0
    marks = bool(scene.camera.path)
    ground = Material(colour, texture, seed, front, marks)
    if kind == "table":
        return (Surface(2, _ground_level(scene, plane), ground),)
    level = scene.camera.center[2] - PLACE.unseen_floor if plane is None else plane.position[2]
    wall_texture, wall_seed = walls[int(rng.integers(len(walls)))], int(rng.integers(1 << 30))
    lightness = float(rng.uniform(-0.03, 0.03))
    # Not painted: a shadow on a wall takes of its chroma, too, and so shifts what is tracked, by .6 px at 13 levels.
    wall = Material(_tinted(LEVEL.wall + lightness, OFF_WHITE), wall_texture, wall_seed, marks=marks)
    shelves = any(_hangs(scene, body) for body in scene.bodies if _stands(body))
    behind = scene.camera.center[1] + (PLACE.shelf_wall if shelves else PLACE.wall_behind)
    return Surface(2, level, ground), Surface(1, _behind_bodies(scene, behind), wall)


def _behind_bodies(scene: Scene, wall: float) -> float:
    """Depth (m) of the wall: moved back from its usual place for bodies that stand in it, or behind it."""
    middle = scene.camera.center[1]
    # Whether they are drawn must not matter, as in `_ground_level`.
    solid = [body for body in scene.bodies if body.shape != "plane"]
    sizes = [(body.position[1], float(np.linalg.norm(body.size))) for body in solid]
    deep = [y + size + PLACE.behind_bodies for y, size in sizes if y > middle + size and y + size > wall]
    return max([wall, *deep])


def _ground_level(scene: Scene, plane: Body | None) -> float:
    """Height (m) of the ground in a view from above: a plane that carries nothing is brought up to the largest ball."""
    assert plane is not None
    if plane.collides:
        return plane.position[2]
    # Whether a ball is drawn must not matter: pictures with and without one are compared.
    lowest = [body.position[2] - body.size[0] for body in scene.bodies if body.shape == "sphere"]
    return max(min(lowest, default=plane.position[2]), plane.position[2])


def _hangs(scene: Scene, body: Body) -> bool:
    """True if a board of a side view without a floor ends within the picture: it is fixed to the wall."""
    lowest = body.position[2] - float(np.linalg.norm(np.asarray(body.size)[[0, 2]]))
    return not any(each.shape == "plane" for each in scene.bodies) and (
        lowest > scene.camera.center[2] - scene.camera.width / 2 - body.size[0]
    )


def _block(scene: Scene, body: Body, rng: np.random.Generator) -> StageBox:
    tint = (1.0, 1.0, 1.0) if is_screen(body) else OFF_WHITE
    albedo, framed = _tinted(level_of(body.grey), tint), only_hides(body) and scene.camera.view == "front"
    material = Material(albedo, "plain", int(rng.integers(1 << 30)), framed=framed)
    centre, half = body.position, body.size
    in_plane = abs(body.position[1] - scene.camera.center[1]) < body.size[1]
    if scene.camera.view == "front" and in_plane:
        # The front stays where it is drawn in the plain look: before a camera that looks straight ahead a nearer one
        # would hide the feet of what stands on it.
        front = scene.camera.center[1] - (body.size[1] if scene.camera.tilt else DRAWN.plate_half_depth)
        back = scene.camera.center[1] + (PLACE.shelf_wall if _hangs(scene, body) else body.size[1])
        centre = (centre[0], (front + back) / 2, centre[2])
        half = (half[0], (back - front) / 2, half[2])
    return StageBox(centre, (half[0], half[1], half[2]), body.orientation, material)


# Screens are things: cloth in a frame, on feet or on cables. These hide no body, and are of a grey that is none's.


@dataclass(frozen=True)
class Fittings:
    """Feet of a screen that stands, cables of one that moves up or down."""

    level: float = 0.52  # lighter than screens, darker than walls
    inset: float = 0.16  # of a screen's width from its side to a foot: from near a foot hides nothing beside the screen
    foot: Vector = (0.04, 0.24, 0.03)  # m, half extents
    cable: float = 0.009  # m, half of its width
    from_side: float = 0.07  # m, of a cable from the side of its screen
    reach: float = 12.0  # m, of a cable: out of every picture
    narrow: float = 0.25  # m, half of the width up to which a dark board is a post


FITTING = Fittings()
STEEL = (1.0, 1.0, 1.0)  # has no hue


def only_hides(body: Body) -> bool:
    """True if a body is there to hide others, and does nothing else: dark posts and cushions carry or stop them."""
    return is_screen(body) and not body.collides and body.size[0] > FITTING.narrow


def _feet(scene: Scene, body: Body) -> tuple[StageBox, ...]:
    """The feet of a screen that stands on a floor, before it: what is behind it shows no less."""
    floor = next((each.position[2] for each in scene.bodies if each.shape == "plane" and each.drawn), None)
    upright = abs(body.orientation[3]) > 1 - 1e-9
    if floor is None or not (only_hides(body) and body.stays and upright):
        return ()
    if abs(body.position[2] - body.size[2] - floor) > HOLDER.stands:
        return ()
    _, y, z = FITTING.foot
    steel = Material(_tinted(FITTING.level, STEEL))
    apart = (1 - 2 * FITTING.inset) * body.size[0]
    front = body.position[1] - body.size[1] - y
    places = [(body.position[0] + side * apart, front, floor + z) for side in (-1, 1)]
    return tuple(StageBox(place, FITTING.foot, (0.0, 0.0, 0.0, 1.0), steel, blocks_light=False) for place in places)


def cables(body: Body, centre: Real) -> list[tuple[Real, Vector, Vector]]:
    """Centres (3,) m, half extents (m) and albedos of the cables of a screen at `centre` (3,) that moves up or down."""
    if not (only_hides(body) and body.path):
        return []
    x, _, z = np.abs(np.ptp([point.position for point in body.path], axis=0)).tolist()
    if z <= x:
        return []
    apart, up = body.size[0] - FITTING.from_side, body.size[2] + FITTING.reach / 2
    half, albedo = (FITTING.cable, FITTING.cable, FITTING.reach / 2), _tinted(FITTING.level, STEEL)
    return [(centre + np.array([side * apart, 0.0, up]), half, albedo) for side in (-1, 1)]


def drawn_half(body: Body, scene: Scene) -> Vector:
    """Half extents (m) of a box that moves, as it is seen: flat ones are thin, as in the plain look."""
    x, y, z = drawn_size(body, scene.camera)
    if not is_plate(body, scene.camera):
        return x, y, z
    across = axis_across(body, scene.camera)
    half = [x, y, z]
    half[across] = min(half[across], DRAWN.flat_half_depth)
    return half[0], half[1], half[2]


# What holds bodies until their release: arms out of the wall and posts out of the floor, which withdraw into them.
#
# In the plain look a holder vanishes in one frame. Here it reaches back to the wall or down to the floor. Where time is
# left before the hand-over it gives the body a push, if the body moves off from it, and is drawn in after the release;
# else it is drawn in before. So pictures from the hand-over on show no holder that is gone by then. One that stays
# longer is drawn in after it has let go, since until then it may still carry or stop something. Nothing but the picture
# knows of it.


@dataclass(frozen=True)
class Holders:
    """Holders that withdraw from bodies."""

    withdrawal: float = 0.3  # s that a holder takes to withdraw
    push_time: float = 0.05  # s for which it moves along with a body that flies or rolls off from it
    stands: float = 0.02  # m above the floor, up to which a holder stands on it
    square: float = 0.999  # cosine between a side of a holder and the surface that it comes out of


HOLDER = Holders()


def is_holder(body: Body) -> bool:
    """True if a body holds another one in a way that this module draws: a grey box at rest, until it vanishes."""
    still = body.role != "moving" and not body.path
    return still and body.until is not None and body.shape == "box" and body.hue is None


def holder_at(scene: Scene, stage: Stage, index: int, time: float) -> Body | None:
    """A holder with the place and size that it has in the picture at `time` s, None where it is gone."""
    body = scene.bodies[index]
    assert body.until is not None
    starts = body.until if _lets_go_first(body) else body.until - HOLDER.withdrawal
    since = time - starts
    if since > HOLDER.withdrawal - 1e-9:
        return None
    share = max(since, 0.0) / HOLDER.withdrawal
    if _lets_go_first(body):
        push = np.asarray(_pushed(scene, body)) * min(max(since, 0.0), HOLDER.push_time)
        body = replace(body, position=_vector(np.asarray(body.position) + push))
    surface = _root(stage, body)
    return _receded(body, scene.camera, share) if surface is None else _drawn_in(body, surface, share)


def withdraws(body: Body, time: float) -> bool:
    """True if a holder is on its way out of the picture at `time` s: it is drawn behind all bodies then."""
    return body.until is not None and time > body.until - (1e-9 if _lets_go_first(body) else HOLDER.withdrawal)


def _lets_go_first(body: Body) -> bool:
    """True if a holder stays for its body's release: unless it must go sooner to be out of the first picture after."""
    return body.until is not None and not -HOLDER.withdrawal < body.until <= 0


def _pushed(scene: Scene, holder: Body) -> Array:
    """Velocity (3,) m/s of the body that a holder lets go, 0 where that does not move off from it."""
    let_go = [body for body in scene.bodies if body.release == holder.until]
    ways = [np.asarray(body.position) - np.asarray(holder.position) for body in let_go]
    if not ways:
        return np.zeros(3)
    nearest = int(np.argmin([np.linalg.norm(way) for way in ways]))
    velocity = np.asarray(let_go[nearest].velocity)
    return velocity if velocity @ ways[nearest] > 0 else np.zeros(3)


def _root(stage: Stage, body: Body) -> Surface | None:
    """Root of a holder: the floor if it stands there, else the wall."""
    floor = stage.floor
    if floor is not None:
        lowest = body.position[2] - _reach(body, floor)[1]
        if stage.kind == "table" or lowest < floor.level + HOLDER.stands:
            return floor
    return stage.wall


def _reach(body: Body, surface: Surface) -> tuple[int, float]:
    """The axis of a box that points out of a surface best, and how far (m) the box reaches from its middle that way."""
    along = np.abs(rotate(np.array(body.orientation), np.eye(3)) @ surface.normal)
    return int(along.argmax()), float(along @ np.asarray(body.size))


def _drawn_in(body: Body, surface: Surface, share: float) -> Body | None:
    """A box that reaches from a surface to where its far side was, less a share of its length; None if nothing is left.

    One that stands obliquely is moved as it is.
    """
    axis, reach = _reach(body, surface)
    normal, centre = surface.normal, np.asarray(body.position)
    root = surface.level * float(normal.sum())
    tip = float(centre @ normal) + reach
    left = (tip - root) * (1 - share)
    if left <= 0:
        return None
    if reach > body.size[axis] / HOLDER.square:
        return replace(body, position=_vector(centre + (left + root - tip) * normal))
    size = list(body.size)
    size[axis] = left / 2
    centre = centre + (root + left / 2 - centre @ normal) * normal
    return replace(body, position=_vector(centre), size=tuple(size))


def _receded(body: Body, camera: Camera, share: float) -> Body:
    """A box that flies off along the line of sight, where there is nothing to go into: its picture shrinks evenly."""
    from_eye = np.asarray(body.position) - eye(camera)
    return replace(body, position=_vector(eye(camera) + from_eye / (1 - share)))


def _vector(point: Array) -> tuple[float, float, float]:
    x, y, z = point.tolist()
    return x, y, z
