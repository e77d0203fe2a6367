"""Finds the batch size of a model: from the memory and the time that one clip and four clips take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from physbench.clips.clip import Clip, Row
from physbench.rollouts.answer_memory import answer_bytes
from physbench.rollouts.batch_plan import Batch, BatchItem
from physbench.rollouts.device_names import device_kind
from physbench.rollouts.in_flight import BatchResult

if TYPE_CHECKING:
    from physbench.rollouts.rollout_engine import RolloutEngine

MAX_BATCH = {"cpu": 16}
MAX_BATCH_ON_ACCELERATOR = 64
MEMORY_SHARE = {"cpu": 0.25}  # of the free memory; scoring needs some too
MEMORY_SHARE_ON_ACCELERATOR = 0.8
TIME_SHARE = 0.25  # of the time-out, for one batch
# Bytes of the uint8 frames of a batch. Several times as much is at work at once, and on a processor small batches cost
# next to nothing: there a run is to fit a laptop.
MAX_FRAME_BYTES = {"cpu": 64 * 2**20}
MAX_FRAME_BYTES_ON_ACCELERATOR = 256 * 2**20
SECOND_PROBE_CLIPS = 4
SLOW_CLIP_SECONDS = 5.0  # a slower clip gets no second probe


def find_batch_size(
    engine: RolloutEngine,
    rows: Sequence[Row],
    load: Callable[[Row], Clip],
    horizon: Callable[[Row], int],
    samples: int = 1,
) -> int:
    """The largest power of two that fits memory and TIME_SHARE of the time-out, and gives at least four batches."""
    if engine.info.recorded:
        return 1  # recorded answers are not computed
    kind = device_kind(engine.info.device)
    most = MAX_BATCH.get(kind, MAX_BATCH_ON_ACCELERATOR)
    row = max(rows, key=horizon)
    frames = horizon(row)
    size = answer_bytes(engine.card, 1, frames)
    most_bytes = MAX_FRAME_BYTES.get(kind, MAX_FRAME_BYTES_ON_ACCELERATOR)
    most = min(most, -(-len(rows) * samples // 4), max(1, most_bytes // size))
    floor = size * 4 * 2  # the answer in float32, twice

    events, part_size = len(engine.events), engine.part_size
    try:
        single = _probe(engine, row, frames, load, 1)
        memory = _peak_memory(engine, kind)
        if single.rollouts[0].failure and single.events:  # the process timed out or died
            return 1
        seconds = single.seconds
        per_clip = floor
        if seconds < SLOW_CLIP_SECONDS and most > 1:
            several = _probe(engine, row, frames, load, min(SECOND_PROBE_CLIPS, most))
            if several.events:
                sizes = [event.part_size or 1 for event in several.events]
                return min(sizes)
            count = len(several.rollouts)
            seconds = several.seconds / count
            per_clip = max(floor, (_peak_memory(engine, kind) - memory) // max(1, count - 1))
    finally:
        del engine.events[events:]
        engine.part_size = part_size
    share = MEMORY_SHARE.get(kind, MEMORY_SHARE_ON_ACCELERATOR)
    fits = min(most, int(engine.free * share / per_clip), int(engine.timeout * TIME_SHARE / max(seconds, 1e-6)))
    return 1 << (max(1, fits).bit_length() - 1)


def _peak_memory(engine: RolloutEngine, kind: str) -> int:
    return engine.peak_accelerator if kind == "cuda" else engine.peak_rss


def _probe(engine: RolloutEngine, row: Row, frames: int, load: Callable[[Row], Clip], count: int) -> BatchResult:
    plan = [Batch(tuple(BatchItem(row, sample) for sample in range(count)), frames)]
    return next(iter(list(engine.run(plan, load))))
