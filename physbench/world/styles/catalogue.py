"""Looks of a scene: `plain`, on which everything is calibrated, or `natural`, with ground, light and shadows.

Physics, camera and hues are the same in every look, and so are the places and areas of bodies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from physbench.support.errors import UsageError, nearest
from physbench.world.scene import PLAIN, VIEWS, RenderSpec, Scene, Vector
from physbench.world.styles.look_options import base_look, look_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from physbench.world.drawing import Rendered


def known_look(look: str) -> str:
    """The look, or UsageError: there is none of this name, or it takes no such options."""
    look_options(look)
    return look


def check_look(look: str) -> str:
    """The look, or UsageError: there is none of this name, or this machine cannot draw it."""
    if known_look(look) != PLAIN:
        from physbench.world.styles.natural import frames as natural_frames

        natural_frames.check_mitsuba()
    return look


def check_drawn(look: str, view: str) -> None:
    """Raise UsageError where there is no such look or view, or this machine cannot draw it."""
    check_pair(look, view)
    check_look(look)


def check_pair(look: str, view: str) -> None:
    """Raise UsageError where there is no such look or view, or the look does not show the view."""
    known_look(look)
    if view not in VIEWS:
        raise UsageError(f"--view: there is no '{view}'.{nearest(view, VIEWS)}")


def check_camera(look: str, scene: Scene, name: str = "the scene") -> None:
    """Raise UsageError where the camera of a scene, of that name, moves in a way that the look does not draw."""
    if look == PLAIN or not scene.camera.path:
        return
    from physbench.world.camera import eye_moves, most_turned

    far = most_turned(scene.camera, scene.horizon)
    # The one wide picture, out of which frames are cut, shows what lies farther round than 35 degrees too coarsely
    if eye_moves(scene.camera) or far > math.radians(35.0):
        how = "goes to other places" if eye_moves(scene.camera) else f"turns by {math.degrees(far):.0f} degrees"
        raise UsageError(
            f"--look {look}: the camera of {name} {how}, which is drawn in the look {PLAIN} alone. Choose other tasks."
        )


def look_key(look: str) -> str:
    """Key of a look's pictures beside the scene and the code of the plain look: "" for that one."""
    if look == PLAIN:
        return ""
    from physbench.support.fingerprint import fingerprint
    from physbench.world.styles.natural import frames as natural_frames

    return f"{fingerprint(base_look(look))} {natural_frames.variant_names()}"


def look_hash(look: str) -> str:
    """A short hash of `look_key`, for manifests: frames of two hashes are of two makes."""
    return hashlib.sha256(look_key(look).encode()).hexdigest()[:16]


def draw(
    scene: Scene,
    times: Sequence[float] | NDArray[np.float64],
    states: NDArray[np.float64],
    spec: RenderSpec,
    colours: Mapping[int, Vector] | None = None,
) -> Rendered:
    """Frames and areas of a simulated scene in the look of the spec; arguments as of `drawing.render`.

    colours: RGB (0..1) of bodies by their index, where it is not that of their hue. The natural look takes those of
    bodies that move alone.
    """
    if spec.look == PLAIN:
        return _draw_plain(scene, times, states, spec, colours or {})
    check_camera(spec.look, scene)
    from physbench.world.styles.natural import frames as natural_frames

    return natural_frames.render_natural(scene, times, states, spec, colours or {})


def _draw_plain(
    scene: Scene,
    times: Sequence[float] | NDArray[np.float64],
    states: NDArray[np.float64],
    spec: RenderSpec,
    colours: Mapping[int, Vector],
) -> Rendered:
    import numpy as np

    from physbench.world.drawing import render

    if not colours:
        return render(scene, times, states, spec)
    # Channels do not mix: the red one of a red picture is that of a picture in which the body is as grey as red.
    pictures = []
    for channel in range(3):
        greys = list(scene.bodies)
        for index, colour in colours.items():
            greys[index] = replace(greys[index], hue=None, grey=colour[channel])
        pictures.append(render(replace(scene, bodies=tuple(greys), bins=()), times, states, spec))
    frames = np.stack([picture.frames[..., channel] for channel, picture in enumerate(pictures)], axis=-1)
    return replace(pictures[0], frames=frames)


def wall_behind(scene: Scene, look: str) -> float | None:
    """Place (m along y) of the wall that a look puts behind the bodies of a side view; None where it has none."""
    if look == PLAIN:
        return None
    from physbench.world.styles.natural import frames as natural_frames

    wall = natural_frames.stage_of(scene).wall
    return None if wall is None else wall.level


def draw_still(scene: Scene, spec: RenderSpec, hueless: bool = True) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of what never moves; bodies with a hue only if hueless=False."""
    if spec.look == PLAIN:
        from physbench.world.drawing import static_layer

        return static_layer(scene, spec, hueless)
    from physbench.world.styles.natural import frames as natural_frames

    return natural_frames.still_picture(scene, spec, hueless)
