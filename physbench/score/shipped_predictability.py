"""Predictability of the clips of `core` at the size of the reference models, which comes with the package.

`python -m physbench.score.shipped_predictability` computes it anew, in minutes; needed where a test finds that what
is shipped differs from what is computed. A clip is found by all that decides its predictability but the code: a clip
of another size, or that another version of the simulator makes otherwise, is computed where it is needed. So
are all clips where the file is missing or damaged: to raise would fail readings, which count as 0 for the model.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.world.scene import RenderSpec

SHIPPED_COMMAND = "python -m physbench.score.shipped_predictability"
SHIPPED_FILE = "predictability.json.gz"
# Of the file. Hashes of sources, which keys of caches and guards of runs hold, tell of it through this line alone.
SHIPPED_SHA256 = "8090266a070dbadddb2cea5407cde3131694fc0036839ce3e81784b5957aee6f"
SHIPPED_SPEC, SHIPPED_CONTEXT = RenderSpec(64, 64, 15.0), 8
SPREAD_STEP = 1e-4  # diameters


def shipped(key: str) -> tuple[float, NDArray[np.float64]] | None:
    """T_p in s and the spread (F, K) in diameters of the clip with this key, if it is one of those."""
    known = _documents().get(key)
    if known is None:
        return None
    seconds, steps = known
    return seconds, (np.array(steps, dtype=np.float64) * SPREAD_STEP).round(4)


@cache
def _documents() -> Mapping[str, tuple[float, list[list[int]]]]:
    try:
        packed = files("physbench.score").joinpath("golden", SHIPPED_FILE).read_bytes()
    except OSError:
        return {}
    if hashlib.sha256(packed).hexdigest() != SHIPPED_SHA256:
        return {}
    return dict(json.loads(gzip.decompress(packed))["clips"])


def document_of(row: Row) -> tuple[str, tuple[float, list[list[int]]]]:
    """Shipped record of a clip, computed: its key, T_p and the spread in steps."""
    from physbench.clips.store import ClipStore
    from physbench.score.predictability import compute, content_key

    clip = ClipStore().get(row, SHIPPED_SPEC)
    computed = compute(clip, SHIPPED_CONTEXT)
    steps = (computed.spread / SPREAD_STEP).round().astype(int).tolist()
    return content_key(clip, SHIPPED_CONTEXT), (computed.seconds, steps)


def write_shipped(path: Path, workers: int = 2) -> None:
    """Compute all clips of `core`, write the file, and print the hash to set here."""
    from physbench.clips.generate import CLIP_PRELOAD
    from physbench.clips.suite import find_suite
    from physbench.support.schedule import scheduled

    rows = find_suite("core").rows
    with scheduled(document_of, rows, workers=workers, preload=CLIP_PRELOAD) as documents:
        clips = dict(documents)
    header = {"made_by": SHIPPED_COMMAND, "spec": str(SHIPPED_SPEC), "context": SHIPPED_CONTEXT}
    text = json.dumps({**header, "clips": clips}, separators=(",", ":"))
    path.parent.mkdir(exist_ok=True)
    packed = gzip.compress(text.encode(), mtime=0)
    path.write_bytes(packed)
    print(f'SHIPPED_SHA256 = "{hashlib.sha256(packed).hexdigest()}"')


if __name__ == "__main__":
    from physbench.score import shipped_predictability  # a worker finds its functions there, not in __main__

    shipped_predictability.write_shipped(Path(__file__).parent / "golden" / SHIPPED_FILE)
