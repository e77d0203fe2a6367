"""Write pictures of the natural look into docs/images/natural.

python docs/figures/natural.py [stills|near|moving|release|door|tasks]
"""

import sys
from contextlib import suppress
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.clips.task import short_names
from physbench.support.errors import UsageError
from physbench.world.bullet import simulate
from physbench.world.camera import in_view
from physbench.world.scene import FAR, MOVING, PLAIN, RenderSpec
from physbench.world.styles.catalogue import draw

FOLDER = Path(__file__).parents[1] / "images" / "natural"
STILLS = (("falling/projectile-v1", 2, 0.25), ("collisions/billiards-v1", 2, 0.5), ("orbits/kepler-v1", 1, 0.5))
NEAR = (
    ("falling/projectile-v1", 2, 0.25),
    ("falling/stack-v1", 2, 0.6),
    ("occlusion/screen-pass-v1", 2, 0.1),
    ("falling/incline-v1", 2, 0.3),
    ("collisions/billiards-v1", 2, 0.3),
    ("falling/seesaw-v1", 2, 1.0),
)
MOVING_CLIPS = (("occlusion/screen-pass-v1", 1), ("falling/projectile-v1", 1))
MOVING_TIMES = np.array([-0.1, 0.5, 1.1, 1.7])  # s
RELEASES = (("falling/projectile-v1", 1), ("collisions/billiards-v1", 1), ("falling/stack-v1", 2))
FIRST, LAST, STEPS = -0.05, 0.3, 5  # s of the frames of a release
SIDE, BLOCKS, LABEL, SHOWN_AT = 96, 3, 14, 0.3  # px a picture, blocks beside each other, px of a name, s
GAP = 4  # px


def frames(
    task: str, seed: int, times: NDArray[np.float64], width: int, height: int, view: str = FAR, look: str = "natural"
) -> list[NDArray[np.uint8]]:
    """The frames (H, W, 3) of a clip of `test` at some times."""
    scene = in_view(make_scene(Row(task, "test", seed)), view)
    spec = RenderSpec(height, width, 16.0, look, view)
    return list(draw(scene, times, simulate(scene, times).states, spec).frames)


def sheet(rows: list[list[NDArray[np.uint8]]]) -> Image.Image:
    """Rows of pictures of one size."""
    height, width = rows[0][0].shape[:2]
    page = Image.new("RGB", (len(rows[0]) * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            page.paste(Image.fromarray(picture), (x * (width + GAP), y * (height + GAP)))
    return page


def stills() -> Image.Image:
    """A hall, a floor from above and a night sky."""
    found = [frames(task, seed, np.array([time]), 640, 360)[0] for task, seed, time in STILLS]
    page = sheet([found])
    return page.resize((page.width * 2 // 3, page.height * 2 // 3), Image.Resampling.LANCZOS)


def near() -> Image.Image:
    """Six tasks before the near camera."""
    found = [frames(task, seed, np.array([time]), 512, 512, "near")[0] for task, seed, time in NEAR]
    page = sheet([found[:3], found[3:]])
    return page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS)


def moving() -> Image.Image:
    """What the moving camera sees one after the other."""
    return sheet([frames(task, seed, MOVING_TIMES, 256, 256, MOVING) for task, seed in MOVING_CLIPS])


def release() -> Image.Image:
    """How holders withdraw."""
    rows = []
    for task, seed in RELEASES:
        scene = make_scene(Row(task, "test", seed))
        at = min(body.until for body in scene.bodies if body.until is not None)
        rows.append(frames(task, seed, np.linspace(at + FIRST, at + LAST, STEPS), 224, 224))
    return sheet(rows)


def door() -> Image.Image:
    """A wide picture with a door."""
    found = Image.fromarray(frames("falling/stack-v1", 1, np.array([-0.2]), 1280, 704)[0])
    return found.resize((800, 440), Image.Resampling.LANCZOS)


def tasks() -> Image.Image:
    """Every task of full: plain from afar and near, natural from afar and near; a gap where a pair is refused."""
    names = find_suite("full").tasks
    rows, width = -(-len(names) // BLOCKS), 4 * (SIDE + GAP)
    page = Image.new("RGB", (BLOCKS * (width + 2 * GAP), rows * (SIDE + LABEL)), "white")
    for k, task in enumerate(names):
        left, top = k // rows * (width + 2 * GAP), k % rows * (SIDE + LABEL)
        ImageDraw.Draw(page).text((left, top), short_names(task)[1], fill=(70, 74, 80), font_size=11)
        for x, (look, view) in enumerate(product((PLAIN, "natural"), (FAR, "near"))):
            with suppress(UsageError):
                (one,) = frames(task, 2, np.array([SHOWN_AT]), 2 * SIDE, 2 * SIDE, view, look)
                small = Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                page.paste(small, (left + x * (SIDE + GAP), top + LABEL))
    return page


def main(asked: list[str]) -> None:
    for picture in (stills, near, moving, release, door, tasks):
        name = picture.__name__
        if not asked or name in asked:
            path = FOLDER / f"{name}.jpg"
            picture().save(path, quality=88, optimize=True)
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
