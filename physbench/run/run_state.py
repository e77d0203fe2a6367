"""A run at work: its settings, its folder, and what of it is done."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from physbench.adapters.model_protocol import Model, ModelCard
from physbench.clips.clip import Row
from physbench.clips.generate import frame_times
from physbench.clips.known_scenes import known_scene
from physbench.clips.suite import Suite
from physbench.errors import PhysbenchError
from physbench.progress import duration
from physbench.results.number_format import counted
from physbench.results.read_run import STOPPED
from physbench.rollouts.batch_plan import Batch, BatchItem
from physbench.rollouts.rollout_store import has_rollout
from physbench.run.budget import is_spent
from physbench.run.fresh_seeds import drawn_salt
from physbench.run.options import Options, live_again, parse_shard
from physbench.run.run_lock import LOCK
from physbench.run.run_manifest import card_from
from physbench.run.run_shard import batches_of_shard
from physbench.run.score_shards import read_part
from physbench.storage.run_folder import RunFolder
from physbench.storage.sealed_file import write_sealed_json

Say = Callable[[str], None]
Stage = Literal["rollout", "score", "finish"]
RUN_STAGES: tuple[Stage, ...] = ("rollout", "score", "finish")
IN_WORKERS = ("clips", "references", "tracking", "shadowing", "scoring")  # what worker processes spend time on
AFTER_THEM = ("diagnosis", "report")
LEAST_SAID = 0.5  # s


@dataclass
class Run:
    """One evaluation in its folder. `manifest` is complete once the model is loaded and the batches are planned."""

    folder: RunFolder
    options: Options
    suite: Suite
    manifest: dict[str, Any]
    say: Say
    workers: int
    debug: bool = False  # show the tracebacks of what the model raises
    model: Model | None = None  # one that lives in this process; None: it is loaded from options.model
    report: bool = True  # write the report, not only the result
    stages: tuple[Stage, ...] = RUN_STAGES  # that are done now
    leftovers: bool = False  # the folder holds the result of a part of the suite, on which the run goes on
    unanswered: int = 0  # scored rollouts to make again once the model agrees: its server had not answered
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._horizons: dict[Row, int] = {}
        self._counted = self.started  # until when the total holds the time of this session
        self._before = dict(self.manifest.get("speed") or {})  # times of the sessions, or stages, before this one
        lock = self.folder.path / LOCK if self.folder else None
        self._lock = lock if lock and lock.exists() else None

    @cached_property
    def whole(self) -> tuple[BatchItem, ...]:
        """All samples of all clips in the order of the suite: that of the score table."""
        return tuple(item for row in self.suite.rows for item in self.samples_of(row))

    @property
    def items(self) -> tuple[BatchItem, ...]:
        """What of these is to be done here: in a shard its part, of a run that has ended early what it has."""
        if stopped := self.manifest.get(STOPPED):
            known = set(stopped["clips"])
            return tuple(item for item in self.whole if item.row.id in known)
        if self.shard is None or not self.planned:
            return self.whole
        names = {name for index in self.own_batches() for name in self.manifest["batches"][index]}
        return tuple(item for item in self.whole if item.id in names)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The clips of `items`."""
        return tuple(dict.fromkeys(item.row for item in self.items))

    @property
    def shard(self) -> tuple[int, int] | None:
        """Which part of how many is done here; None: all."""
        return None if self.options.shard is None else parse_shard(self.options.shard)

    def own_batches(self) -> Collection[int]:
        """Batches of the plan that are to be done here."""
        batches = len(self.manifest["batches"])
        return range(batches) if self.shard is None else batches_of_shard(batches, *self.shard)

    @property
    def planned(self) -> bool:
        return "batches" in self.manifest

    @property
    def card(self) -> ModelCard:
        return card_from(self.manifest["model"]["card"])

    @property
    def salt(self) -> str:
        """Secret of the generators' seeds; "" where the clips are those of a suite."""
        return drawn_salt(self.manifest)

    def horizon(self, row: Row) -> int:
        """Number of frames to predict."""
        if row not in self._horizons:
            self._horizons[row] = int((frame_times(known_scene(row), self.card.spec) > 1e-9).sum())
        return self._horizons[row]

    def batches(self) -> list[Batch]:
        """The plan in the manifest."""
        by_id = {item.id: item for item in self.whole}
        batches = [tuple(by_id[name] for name in names) for names in self.manifest["batches"]]
        return [Batch(items, self.horizon(items[0].row)) for items in batches]

    def scored(self, item: BatchItem) -> bool:
        return read_part(self.folder.part(item.row.id, item.sample)) is not None

    def rolled(self, item: BatchItem) -> bool:
        return has_rollout(self.folder, item.row.id, item.sample)

    def has(self, item: BatchItem) -> bool:
        """Whether it need not be rolled out any more."""
        return self.scored(item) or self.rolled(item)

    def samples_of(self, row: Row) -> tuple[BatchItem, ...]:
        """All samples of a clip."""
        return tuple(BatchItem(row, sample) for sample in range(self.options.samples))

    @property
    def budget_spent(self) -> bool:
        """Whether no rollout may begin any more."""
        return is_spent(self.options.budget, self.started)

    def missing(self) -> list[int]:
        """Batches to be done with an item that is neither scored nor rolled out. They are rolled out as a whole."""
        batches = self.batches()
        return [index for index in self.own_batches() if not all(self.has(item) for item in batches[index].items)]

    def kept(self) -> str:
        """How much is done, for the message on an interruption."""
        if not self.planned:
            return "nothing was made yet"
        if "score" not in self.stages:
            done = sum(self.rolled(item) for item in self.items)
            return f"{done} of {len(self.items)} rollouts are made and kept in {self.folder.path}"
        done = sum(self.folder.part(item.row.id, item.sample).exists() for item in self.items)
        return f"{done} of {len(self.items)} rollouts are scored and kept in {self.folder.path}"

    def standing(self) -> str:
        """How much a run that is resumed has, and what is left to do."""
        if "score" not in self.stages:
            done = sum(self.scored(item) or self.rolled(item) for item in self.items) - self.unanswered
            already = f"All {done} rollouts are made already."
            return already if done == len(self.items) else f"Resuming: {done} of {len(self.items)} rollouts are made."
        done = sum(self.scored(item) for item in self.items)
        done -= self.unanswered
        if done == len(self.items):
            rest = " only result and report are made again." if "finish" in self.stages else " nothing is left to do."
            return f"All {done} rollouts are scored already:{rest}"
        return f"Resuming: {done} of {len(self.items)} rollouts are scored."

    def refuse_other_clips(self, states: Mapping[Row, str]) -> None:
        """Raise PhysbenchError where clips here are others than those on which the model was rolled out.

        states: hash of the states of each clip here.
        """
        known = self.manifest.get("states") or {}
        other = [row.id for row, state in states.items() if known.get(row.id, state) != state]
        if other:
            shutil.rmtree(self.folder.path / "references", ignore_errors=True)  # they are of the clips here
            raise PhysbenchError(
                f"This machine simulates {len(other)} of {len(states)} clips differently from the one that rolled the "
                f"model out (the first is {other[0]}). Score there, or roll out on clips packed here: "
                "`physbench data pack`, then `physbench rollout --clips FILE`."
            )

    def note_states(self, states: Mapping[Row, str]) -> None:
        """Mark the run as local where this machine does not reproduce the suite's states.

        states: hash of the states of each clip here.
        """
        known = self.manifest.get("states") or {}
        states = {row: known[row.id] for row in self.suite.rows if row.id in known} | dict(states)
        golden = self.suite.golden
        other = [row for row, state in states.items() if row in golden and golden[row].state_hash != state]
        self.manifest["suite"]["local"] = bool(other) or self.suite.local
        if other:
            self.say(
                f"Warning: this machine simulates {len(other)} clips differently from the suite's golden states (the "
                f"first is {other[0].id}): the result is marked local. See `physbench data verify`."
            )

    def stop(self, by: str, asked: str, rows: Sequence[Row], **found: Any) -> None:
        """End the run with these clips, and write that down: its result is one of a part of the suite.

        by: "budget" or "until". found: further fields of `manifest_document.Stopped`.
        """
        known = set(rows)
        kept = tuple(row for row in self.suite.rows if row in known)
        part = replace(self.suite, rows=kept)
        stamp = {"by": by, "asked": asked, "clips": [row.id for row in kept], "hash": part.hash}
        self.manifest[STOPPED] = stamp | found
        self.save_manifest()

    def ended(self) -> str:
        """With how much of the suite a run has ended early, and how it goes on."""
        return f"the result is that of {len(self.rows)} of {counted(len(self.suite.rows), 'clip')}. {self.further()}"

    def further(self) -> str:
        """The command that goes on to the whole suite; "" for a live model whose run cannot be resumed."""
        again = replace(self.options, budget=None, until=None).resume_command(self.folder.path)
        if self.model is not None:
            sha256 = self.manifest["model"].get("sha256")
            if sha256 is None:
                return ""
            again = live_again(self.folder.path, sha256)
        return f"For all of them:\n  {again}"

    def refuse_deleted(self, parts: bool = False) -> None:
        """Raise FileNotFoundError where the folder was deleted since the run began: what comes later is stored anew.

        parts: whether all scores must be there, too.
        """
        known = [self._lock] if self._lock else []
        known += [self.folder.part(item.row.id, item.sample) for item in self.items] if parts else []
        for path in known:
            if not path.exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    def save_manifest(self) -> None:
        write_sealed_json(self.folder.manifest, self.manifest)

    def note(self, text: str) -> None:
        """Add what a model assumes, or what was remarked of it, to the manifest; each sentence once."""
        notes = self.manifest.setdefault("notes", [])
        if text not in notes:
            notes.append(text)

    def count_time(self, name: str, seconds: float) -> None:
        """Add to a time in the manifest's `speed`, over all sessions of the run."""
        speed = self.manifest["speed"]
        speed[name] = round(speed.get(name, 0.0) + seconds, 3)

    @property
    def session_seconds(self) -> float:
        """Time of this session, up to when it was last written down."""
        total = float((self.manifest.get("speed") or {}).get("total_seconds", 0.0))
        return total - float(self._before.get("total_seconds", 0.0))

    def times(self) -> str:
        """Where the time of this session went: "Model 17 s; in 2 workers clips 12 s, ...; report 5 s."."""
        speed, names = self.manifest.get("speed") or {}, (*IN_WORKERS, *AFTER_THEM, "model")
        keys = {name: f"{name}_seconds" for name in names}
        spent = {name: speed.get(key, 0.0) - self._before.get(key, 0.0) for name, key in keys.items()}
        inside = ", ".join(f"{name} {duration(spent[name])}" for name in IN_WORKERS if spent[name] >= LEAST_SAID)
        parts = [f"model {duration(spent['model'])}"] if spent["model"] >= LEAST_SAID else []
        parts += [f"in {counted(self.workers, 'worker')} {inside}" if self.workers else inside] if inside else []
        parts += [f"{name} {duration(spent[name])}" for name in AFTER_THEM if spent[name] >= LEAST_SAID]
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}." if text else ""

    def close(self, peak_memory: int = 0, model_memory: int = 0) -> None:
        """Write down time and memory of this session up to now, also of one that ends early, if that is possible."""
        if not self.planned:
            return
        now = time.monotonic()
        self.count_time("total_seconds", now - self._counted)
        self._counted = now
        speed = self.manifest["speed"]
        total, model = speed["total_seconds"], speed.get("model_seconds", 0.0)
        speed["harness_share"] = round(1 - model / total, 4) if total > 0 else None
        speed["model_frames_per_s"] = round(speed.get("model_frames", 0) / model, 1) if model > 0 else None
        for name, size in (("peak_memory_gb", peak_memory), ("device_memory_gb", model_memory)):
            if size:
                speed[name] = round(max(speed.get(name) or 0.0, size / 1e9), 3)
        with contextlib.suppress(OSError):
            self.save_manifest()
