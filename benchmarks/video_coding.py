"""What video coding costs: the truth itself, encoded, handed in as `videos:DIR` and evaluated.

    python benchmarks/video_coding.py [--sizes 64,128] [--fps 15] [--context 8] [--clips 14]

Conditioning is exported as `physbench data export` does it, each true future is written as lossless FFV1 and as H.264
at crf 18 and 4:2:0, and each folder is scored as a user's own. Printed is skill: 1 where the coding costs nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import physbench
from physbench.clips.conditioning import Answer
from physbench.clips.export import check_export, export
from physbench.clips.generate import make_clip
from physbench.clips.suite import find_suite
from physbench.clips.video import FFV1, Codec, encode, h264
from physbench.score.protocol import AXES

CODINGS = {"FFV1, lossless": FFV1, "H.264, crf 18, 4:2:0": h264(18)}


def skill(size: int, fps: float, context: int, clips: int, codec: Codec, folder: Path) -> dict[str, float | None]:
    """Skill of the truth that went through a codec, overall and by axis."""
    spec = check_export(size, size, fps, context)
    asked = export(find_suite("smoke", limit=clips), spec, context, folder / "cond", limit=clips)
    answers = folder / "cond" / "answers"
    for each in asked.clips:
        clip = make_clip(each.row, spec)
        encode(answers / f"{each.id}{codec.suffix}", clip.frames[clip.handover + 1 :], fps, codec)
    said = Answer(asked=asked, includes_context=False).model_dump(mode="json")
    (answers / "answer.json").write_text(json.dumps(said), encoding="utf-8")
    result = physbench.evaluate(
        f"videos:{answers}", "smoke", limit=clips, out=folder / "run", report=False, diagnosis=False
    )
    return {"overall": result.overall, **{axis: result.axes[axis] for axis in AXES}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="64,128")
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--context", type=int, default=8)
    parser.add_argument("--clips", type=int, default=14)
    asked = parser.parse_args()
    for size in map(int, asked.sizes.split(",")):
        for name, codec in CODINGS.items():
            with tempfile.TemporaryDirectory() as folder:
                found = skill(size, asked.fps, asked.context, asked.clips, codec, Path(folder))
            said = "  ".join(f"{axis} {'–' if value is None else f'{value:.3f}'}" for axis, value in found.items())
            print(f"{size} px  {name:22}  {said}", flush=True)


if __name__ == "__main__":
    main()
