"""Write docs/images/tasks.webp: one clip of every task of core, playing. python docs/figures/tasks.py"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.suite import find_suite
from physbench.clips.task import short_names

SIZE, FPS, COLUMNS, BEFORE = 128, 15.0, 7, 0.6
SEEDS = {"falling/stack-v1": 2, "collisions/billiards-v1": 2, "falling/incline-v1": 2}


def film(task: str) -> list[Image.Image]:
    """Frames from shortly before the hand-over on, four seconds of them, with the task's name."""
    clip = make_clip(Row(task, "test", SEEDS.get(task, 0)), render_spec(SIZE, FPS))
    first = clip.handover - round(BEFORE * FPS)
    frames = []
    for frame in clip.frames[first : first + round((BEFORE + 4) * FPS) + 1]:
        picture = Image.new("RGB", (SIZE, SIZE + 16), "white")
        picture.paste(Image.fromarray(frame), (0, 0))
        ImageDraw.Draw(picture).text((2, SIZE + 2), short_names(task)[1], fill=(70, 74, 80), font_size=11)
        frames.append(picture)
    return frames


def main() -> None:
    films = [film(task) for task in find_suite("core").tasks]
    rows = -(-len(films) // COLUMNS)
    sheet = []
    for frames in zip(*films, strict=True):
        page = Image.new("RGB", (COLUMNS * (SIZE + 4) - 4, rows * (SIZE + 20) - 4), "white")
        for k, frame in enumerate(frames):
            page.paste(frame, ((k % COLUMNS) * (SIZE + 4), (k // COLUMNS) * (SIZE + 20)))
        sheet.append(page)
    path = Path(__file__).parents[1] / "images" / "tasks.webp"
    still, *rest = sheet
    still.save(path, save_all=True, append_images=rest, duration=round(1000 / FPS), loop=0, quality=60, method=4)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB, {np.shape(still)}")


if __name__ == "__main__":
    main()
