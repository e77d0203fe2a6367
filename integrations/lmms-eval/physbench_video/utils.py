"""Functions of the task `physbench_video`: clips of an export are continued by a generator and scored by physbench.

lmms-eval loads this file once for each function that the YAML names, so that nothing is shared in memory. physbench
runs as a command, in an environment of its own: the two need different versions of PyAV.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

EXPORT = Path(__file__).parents[1] / "cond"  # `--out` of `physbench data export`; the YAML names its manifest
METRICS = ("overall", "consistency", "permanence", "drift", "lawful_seconds")

Doc = Mapping[str, Any]  # a clip of manifest.json
Answer = dict[str, str | None]  # of one clip: its id, the path of its video or None, what the model said instead


def doc_to_visual(doc: Doc) -> list[Image.Image]:
    """The context of a clip as pictures, oldest first: one of an image, several of a video."""
    film = doc["files"].get("video_lossless")
    if film is None:
        with Image.open(EXPORT / doc["files"]["image"]) as picture:
            return [picture.convert("RGB")]
    import av

    with av.open(str(EXPORT / film)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def doc_to_text(doc: Doc, lmms_eval_specific_kwargs: Mapping[str, str] | None = None) -> str:
    """The prompt of the clip, between what a model wants before and after it."""
    around = lmms_eval_specific_kwargs or {}
    return f"{around.get('pre_prompt', '')}{doc['prompt']}{around.get('post_prompt', '')}"


def doc_to_target(doc: Doc) -> str:
    """The clip's opaque name: its future is known to physbench alone."""
    return str(doc["id"])


def doc_to_messages(doc: Doc, lmms_eval_specific_kwargs: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Pictures and prompt as one message of a user."""
    pictures = [{"type": "image", "url": picture} for picture in doc_to_visual(doc)]
    text = {"type": "text", "text": doc_to_text(doc, lmms_eval_specific_kwargs)}
    return [{"role": "user", "content": [*pictures, text]}]


def process_results(doc: Doc, results: Sequence[Any], **_: Any) -> dict[str, Answer]:
    """The video of a clip, the same for each metric: physbench scores all of them together."""
    answer = _answer(doc_to_target(doc), str(results[0] if results else ""))
    return {f"physbench_{metric}": answer for metric in METRICS}


def _answer(clip: str, text: str) -> Answer:
    """Read `{"text": "", "videos": [PATH]}`, or a path alone, as generators of lmms-eval return them."""
    path = text.strip()
    if path.startswith("{"):
        try:
            videos = json.loads(path).get("videos")
        except ValueError:
            videos = None
        path = str(videos[0]).strip() if isinstance(videos, list) and videos else ""
    try:
        file = Path(path).expanduser().absolute()
        if path and file.is_file():
            return {"id": clip, "video": str(file), "said": None}
    except (OSError, RuntimeError, ValueError):  # words that can be no path
        pass
    return {"id": clip, "video": None, "said": text[:300]}


# Aggregation: one run of physbench over all videos, which the first metric makes and the others read.


def overall(answers: Sequence[Answer]) -> float:
    """Skill over all: 1 is ground truth, 0 the frozen last frame."""
    return _number(_result(answers)["overall"]["skill"])


def consistency(answers: Sequence[Answer]) -> float:
    """Skill of physical consistency."""
    return _number(_result(answers)["axes"]["consistency"]["skill"])


def permanence(answers: Sequence[Answer]) -> float:
    """Skill of object permanence."""
    return _number(_result(answers)["axes"]["permanence"]["skill"])


def drift(answers: Sequence[Answer]) -> float:
    """Skill of long-horizon drift; higher drifts less."""
    return _number(_result(answers)["axes"]["drift"]["skill"])


def lawful_seconds(answers: Sequence[Answer]) -> float:
    """Time for which predictions stay physical, s."""
    lawful = _result(answers)["lawful"]
    return _number(None if lawful is None else lawful["seconds"])


def _number(value: float | None) -> float:
    """NaN where physbench has none; its report says why."""
    return math.nan if value is None else float(value)


def _result(answers: Sequence[Answer]) -> dict[str, Any]:
    """result.json of these videos. Raises RuntimeError with what physbench says where it cannot score them."""
    key = hashlib.sha256(os.environ.get("PHYSBENCH_OPTIONS", "").encode())
    for answer in sorted(answers, key=lambda each: str(each["id"])):
        video = answer["video"]
        key.update(f"{answer['id']} {hashlib.sha256(Path(video).read_bytes()).hexdigest() if video else ''}".encode())
    place = Path(os.environ.get("PHYSBENCH_RUNS", "runs")).absolute() / f"lmms-eval-{key.hexdigest()[:12]}"
    result = place / "result.json"
    if not result.is_file():
        _evaluate(answers, place)
    document: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return document


def _evaluate(answers: Sequence[Answer], run: Path) -> None:
    """Copy the videos under the names of their clips into RUN.answers, and score them."""
    folder = run.with_name(f"{run.name}.answers")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXPORT / "answers", folder, ignore=lambda place, names: set(names) - {"answer.json"})
    for answer in answers:
        if answer["video"]:
            shutil.copyfile(answer["video"], folder / f"{answer['id']}{Path(answer['video']).suffix}")
        else:
            print(f"physbench: no video of {answer['id']}, which counts as failed: {answer['said']}", file=sys.stderr)
    suite = json.loads((EXPORT / "manifest.json").read_text(encoding="utf-8"))["suite"]
    chosen = [f"--{name}={suite[name]}" for name in ("tasks", "limit") if suite[name] is not None]
    name = suite["name"].removesuffix("-prompt-motion")
    chosen += ["--prompt-motion"] if name != suite["name"] else []
    program = shlex.split(os.environ.get("PHYSBENCH", "physbench"))
    command = [*program, "eval", f"videos:{folder}", "--suite", name, *chosen]
    command += ["--model-arg", f"key={EXPORT.with_name(f'{EXPORT.name}.key.json')}"]
    command += ["--out", str(run), "--fresh", *shlex.split(os.environ.get("PHYSBENCH_OPTIONS", ""))]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError as error:
        raise RuntimeError(f"PHYSBENCH: there is no program {program[0]!r}. Give the command of physbench.") from error
    print(done.stdout, file=sys.stderr)
    if not (run / "result.json").is_file():
        raise RuntimeError(f"physbench ended with {done.returncode} and no result: see above. {shlex.join(command)}")
