"""Whether a clip is the same in another process.

`python -m physbench.checks.repeatability SIZE FPS TASK:SPLIT:SEED ...` prints fingerprints of clips.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from physbench.checks.finding import Finding, Shot, failed, fine
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.world.scene import RenderSpec

REMEDIES = {
    "parameters": "sample() draws other parameters: use the generator that it is given and nothing else that varies "
    "(random, time, the order of a set, the hash of a text, a file).",
    "scene": "scene() describes another scene for the same parameters: it must follow from them alone.",
    "states": "The same scene is simulated differently. Report this: the task cannot cause it.",
    "frames": "The same states are drawn differently. Report this: the task cannot cause it.",
}
FINGERPRINT_PARTS = tuple(REMEDIES)


def fingerprint(row: Row, spec: RenderSpec, clip: Clip | None = None) -> dict[str, str]:
    """Hashes of parameters, scene, states and frames of a clip, and its frame at the hand-over to be shown."""
    made = make_clip(row, spec) if clip is None else clip
    frames = hashlib.sha256(np.ascontiguousarray(made.frames).data).hexdigest()
    parameters = hashlib.sha256(repr(dict(make_params(row))).encode()).hexdigest()
    scene = hashlib.sha256(repr(made.scene).encode()).hexdigest()
    now = made.frames[made.handover]
    shown = base64.b64encode(zlib.compress(np.ascontiguousarray(now).data)).decode()
    return {"parameters": parameters, "scene": scene, "states": made.state_hash, "frames": frames, "shown": shown}


class FreshProcess:
    """A fresh process, with another order of sets, that makes clips again in the background."""

    def __init__(self, rows: Sequence[Row], spec: RenderSpec) -> None:
        self.rows, self.spec = rows, spec
        names = [f"{row.task}:{row.split}:{row.seed}" for row in rows]
        seed = "1" if os.environ.get("PYTHONHASHSEED", "") != "1" else "2"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "physbench.checks.repeatability", str(spec.height), f"{spec.fps:g}", *names],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def findings(self, clips: Sequence[Clip]) -> Iterator[Finding]:
        """Compare the clips made here with those made there."""
        out, err = self._process.communicate()
        if self._process.returncode:
            last = (err.strip().splitlines() or ["no message"])[-1]
            yield failed("determinism", f"a fresh process cannot make the clips: {last}", "See what differs there.")
            return
        for row, clip, there in zip(self.rows, clips, json.loads(out), strict=True):
            if make_scene(row) != clip.scene:
                part = "parameters" if make_params(row) != make_params(row) else "scene"
            else:
                here = fingerprint(row, self.spec, clip)
                part = next((name for name in FINGERPRINT_PARTS if here[name] != there[name]), "")
            if part:
                now = clip.frames[clip.handover]
                other = np.frombuffer(zlib.decompress(base64.b64decode(there["shown"])), np.uint8).reshape(now.shape)
                shot = Shot(clip, (0.0, 0.0), None, (now, other), ("once", "once again"))
                yield failed("determinism", f"made twice, a clip differs in its {part}", REMEDIES[part], clip, shot)
                return
        yield fine("determinism", f"{len(clips)} clips are the same in a fresh process, states and frames")

    def close(self) -> None:
        """End the process if it is still there."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def main(arguments: Sequence[str]) -> None:
    """SIZE FPS and rows: print their fingerprints as JSON."""
    spec = render_spec(int(arguments[0]), float(arguments[1]))
    rows = [name.split(":") for name in arguments[2:]]
    print(json.dumps([fingerprint(Row(task, split, int(seed)), spec) for task, split, seed in rows]))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1:])
