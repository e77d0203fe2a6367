"""The README of an export: what the files are, what to return, and instructions to copy."""

from __future__ import annotations

import shlex
from pathlib import Path

from physbench.clips.conditioning import ANSWER, MANIFEST, Asked
from physbench.clips.export_key import key_path

README_TITLE = "# Conditioning for physbench"


def readme(asked: Asked, folder: Path) -> str:
    """Markdown for the folder of an export."""
    first = asked.clips[0]
    shown = "1 frame (an image)" if asked.context_frames == 1 else f"{asked.context_frames} frames"
    videos = (
        ""
        if asked.context_frames == 1
        else "| `videos/ID.mp4` | the context as H.264, for whatever reads video |\n"
        "| `videos/ID.mkv` | the same, lossless (FFV1) |\n"
    )
    actions = (
        "| `actions/ID.csv` | pushes, one row a frame from the first context frame on: hue of the pushed body as RGB, "
        "impulse in N s |\n"
        if any(clip.files.actions for clip in asked.clips)
        else ""
    )
    used = "- `uses_actions`: `true` if the model was given the files in `actions/`.\n" if actions else ""
    return f"""{README_TITLE}: {asked.suite.name}, {len(asked.clips)} clips

Each clip shows {shown} of {asked.width}x{asked.height} px at {asked.fps:g} frames/s, the last one at time 0.
A model continues it. Nothing in this folder lies after time 0.

| file | what it is |
| --- | --- |
| `images/ID.png` | the frame at time 0, the last one that is known |
{videos}| `prompts/ID.txt` | a description of the scene |
{actions}| `{MANIFEST}` | all of it with sizes, lengths and SHA-256 |
| `answers/{ANSWER}` | goes back with your videos |

## What to hand back

One video per clip, named after it, in `answers/`. Copy this to whoever runs the model:

> For each file `images/ID.png`, continue the scene with a fixed camera and no cuts, as it would really go on.
> Prompt: `prompts/ID.txt`. Wanted: {lengths(asked)}, at {asked.fps:g} frames/s or any other rate.
> Save it as `answers/ID.mp4`, for example `answers/{first.answer}`. Do not rename, trim, speed up or pick the best.
> .webm, .mkv, .mov, .gif, .avi or a folder `answers/ID/` of numbered PNG files will do as well. Further samples of a
> clip are `ID.s1.mp4`, `ID.s2.mp4` and so on.

Then say in `answers/{ANSWER}`, above the part `asked`, which is to stay as it is:

- `name`: the model's.
- `fit`: if the videos have another shape than {asked.width}x{asked.height}: `"stretch"` (squeezed), `"contain"` (whole
  picture, with bars) or `"cover"` (filled, edges cut off). It is undone before anything is measured.
- `includes_context`: `true` if the videos begin with the conditioning frames, `false` if with the first new one, a
  number if with so many of them; `"auto"` looks at the pictures.
- `fps`: only if the files do not say it (PNG folders) or say it wrongly.
- `track`: `"trained"` if the model was trained on the suite `train`, and `training_clips`, the number of its clips.
{used}
## Score them

    physbench models check {shlex.quote(f"videos:{folder}/answers")}
    physbench eval {shlex.quote(f"videos:{folder}/answers")} {asked.suite.options}

The first lists every missing, extra, short or damaged file. A clip without a good video counts as failed.

Both read `{key_path(folder).name}`, which lies beside this folder and says which clip each name stands for. Keep it
from the model and from whoever runs it: with it, a clip and its future can be made again.
"""


def lengths(asked: Asked) -> str:
    """ "4 s (96 frames)", or "4 to 8 s (96 to 192 frames), as `manifest.json` says for each clip"."""
    found = {(clip.seconds, clip.frames) for clip in asked.clips}
    low, high = min(found), max(found)
    if low == high:
        return f"{low[0]:g} s ({low[1]} frames)"
    return f"{low[0]:g} to {high[0]:g} s ({low[1]} to {high[1]} frames), as `{MANIFEST}` says for each clip"
