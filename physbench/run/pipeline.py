"""The middle of a run: clips are made, rolled out, tracked and scored at the same time, or one stage of that alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from physbench.clips.clip import Clip, Row
from physbench.result.formats import counted
from physbench.result.read import ClipSource, clips_of
from physbench.rollout.batches import Batch, BatchItem, needed_of
from physbench.rollout.engine import BatchResult, RolloutEngine
from physbench.rollout.shared_memory import SharedRollout
from physbench.rollout.store import drop_rollout
from physbench.run import worker
from physbench.run.clips import ClipPreparation, UnseenClips, unseen
from physbench.run.finalize import drop_results, prepare_finish
from physbench.run.jobs import ClipsReadAhead, Jobs, first_of_each_task, in_turn, rows_in_turn, splits_mixed
from physbench.run.model import calls_along_time, model_of
from physbench.run.progress import Announced, RunningSkill, StatusLines, legs, stops_at
from physbench.run.rollouts import BATCHES_STORED, BeingStored, RolloutKeeping, RolloutNotes, encoders, patience
from physbench.run.state import Run, batches_of_shard
from physbench.support.errors import PhysbenchError
from physbench.support.processes import WorkerPool, short_switch_interval
from physbench.support.progress import Progress, duration

UNSEEN_AHEAD = 4  # clips that are made in advance and kept in memory, besides one for each worker
BATCHES_AHEAD, CLIPS_AHEAD = 1, 2  # that are prepared in advance: batches a device, and clips a worker
COMPILING = "Compiling the motion analysis, once on this machine: about a minute ..."


def roll_and_score(run: Run, pool: WorkerPool | None) -> int:
    """Bring rollouts, parts and references of all clips into the folder, as far as `run.stages` go.

    Without a pool nothing is scored, and no clip is made. Returns the model's peak device memory.
    """
    memory = 0
    for shares in (True, False):
        if run.salt and "rollout" in run.stages:
            memory = max(memory, _roll_unseen(run, pool))
        # On fresh seeds nothing is rolled out any more: clips are stored now.
        with model_of(run, pool) if not run.salt else contextlib.nullcontext() as engine:
            lost = Middle(run, pool, engine, shares=shares).work()
            memory = max(memory, engine.peak_accelerator if engine else 0)
        if run.salt and "rollout" in run.stages and run.missing():
            continue
        if not lost:
            return memory
        for item in lost:
            drop_rollout(run.folder, item.row.id, item.sample)
        if "rollout" not in run.stages:
            again = run.options.rollout_command(run.folder.path)
            raise PhysbenchError(
                f"{counted(len(lost), 'stored rollout')} cannot be read. Make them again, then score them:\n  {again}"
            )
        run.say(f"{len(lost)} stored rollouts cannot be read and are made again.")
    raise PhysbenchError(f"Rollouts in {run.folder.path} cannot be read after they were written. Check the disk.")


def _roll_unseen(run: Run, pool: WorkerPool | None) -> int:
    """Make all rollouts on fresh seeds before any file shows what follows. Returns what the function above does."""
    if run.planned and not run.missing() and not run.unanswered:
        return 0
    with unseen(run.folder), model_of(run) as engine:
        if engine is None:
            return 0
        assert pool is not None, "clips of fresh seeds are in no archive"
        clips = UnseenClips(pool, run.card.spec, engine.devices * (run.workers + UNSEEN_AHEAD))
        Middle(run, pool, engine, unseen=clips).roll_alone()
        return engine.peak_accelerator


@dataclass
class Middle:
    """Everything that is at work between the first clip and the last score."""

    run: Run
    pool: WorkerPool | None
    engine: RolloutEngine | None
    store: ClipSource | None = None  # None: as the manifest says
    unseen: UnseenClips | None = None  # clips that must not be stored while the model runs
    shares: bool = True  # frames in memory with the workers, where these can see it
    progress: Progress | None = None
    preparation: ClipPreparation | None = None  # None: the model sees clips of `unseen`
    ahead: ClipsReadAhead | None = None  # reads for the model
    keeping: RolloutKeeping | None = None
    storing: BeingStored = field(default_factory=BeingStored)
    sent: list[Future[Any]] = field(default_factory=list)  # scores of rollouts that the workers store
    begun: float = field(default_factory=time.monotonic)
    rolling: float | None = None  # s that the batches still take by the mean of those that are done
    estimated: bool = False
    rolled: int = 0  # rollouts made
    states: dict[Row, str] = field(default_factory=dict)  # hashes of those of the clips that were rolled out

    def work(self) -> list[BatchItem]:
        """Do all that is missing. Returns items whose stored rollout cannot be read."""
        run, card = self.run, self.run.card
        drop_results(run)
        if run.shard is not None and self.engine is not None and not run.planned:
            self.plan(self.engine)  # which clips there are to make is known from the plan
        todo = {item for item in run.items if not run.scored(item)}
        needed = self.engine is not None or "score" in run.stages
        absent = self.source.missing(run.rows, card.spec) if needed else []
        if "score" in run.stages:
            expected, beside = {"clip": len(absent), "references": len(run.rows), "score": len(todo)}, 0
        else:
            todo = {item for item in todo if not run.rolled(item)}
            expected, beside = {"clip": len(absent)}, len(todo)
        what = "clips, rollouts, scores" if len(run.stages) > 1 else f"{run.stages[0]}s"
        with Progress(f"{run.suite.name}: {what}", sum(expected.values()) + beside, lines=False) as progress:
            self.progress = progress
            jobs = Jobs(progress, run.workers, expected)
            log = StatusLines(run.say, lambda: self.status(jobs, len(todo)))
            with log, Announced(run.say, COMPILING, self.pool.noticed) if self.pool else contextlib.nullcontext():
                store = self.source if absent else None
                self.preparation = ClipPreparation(run, self.pool, jobs, store, set(absent), "score" in run.stages)
                results = self.do(jobs, self.preparation, set(todo))
        found = {done.row: done.state_hash for done in results if isinstance(done, worker.Referenced)}
        run.note_states(self.states | found)
        for name, seconds in worker.seconds_of(results).items():
            run.count_time(f"{name}_seconds", seconds)
        return [
            BatchItem(done.row, done.sample) for done in results if isinstance(done, worker.Scored) and not done.found
        ]

    @cached_property
    def running(self) -> RunningSkill:
        """Overall of what is scored."""
        return RunningSkill(self.run)

    @property
    def source(self) -> ClipSource:
        """Where clips come from."""
        if self.store is None:
            self.store = clips_of(self.run.folder, self.run.manifest)
        return self.store

    def do(self, jobs: Jobs, clips: ClipPreparation, todo: set[BatchItem]) -> list[Any]:
        """Make clips, rollouts, scores and references. Returns what the jobs returned."""
        run, absent = self.run, [row for row in self.run.rows if row in clips.absent]
        self.rolling = 0.0 if self.engine is None else None
        prepare_finish(run)
        if absent and self.pool and run.workers > 1 and clips.references:
            self.pool.submit(worker.compile_functions)  # in one; others make clips, and wait for it, or raise its error
        if self.engine is not None and not run.planned:
            if absent:  # the probe of the batch size asks for the longest first
                clips.make([max(absent, key=run.horizon), *first_of_each_task(absent)])
            self.plan(self.engine)
        batches = run.batches()
        first = {item.row for index in run.missing() for item in batches[index].items}  # that the model waits for
        most = max((len(batch.items) for batch in batches), default=1) * (self.engine.devices if self.engine else 1)
        clips.expect(
            sorted(rows_in_turn(batches, run.rows), key=lambda row: row not in first),
            BATCHES_AHEAD * most + CLIPS_AHEAD * run.workers,
        )
        if run.options.until is not None or "rollout" not in run.stages:  # a look needs the references of all clips
            clips.rest()
        if "rollout" not in run.stages:  # references tell whether these are the clips that were rolled out
            found = jobs.results(lambda: None)
            run.refuse_other_clips({done.row: done.state_hash for done in found if isinstance(done, worker.Referenced)})
        if "score" in run.stages:
            stored = [item for item in run.items if item in todo and run.rolled(item)]
            clips.make(item.row for item in stored)
            for item in stored:
                self.score(jobs, item)
                todo.discard(item)
        if self.engine is not None:
            self.roll(self.engine, jobs, todo)
            self.engine.close()  # while its rollouts are scored, its memory is free
            if clips.references:
                jobs.expect_fewer("score", len(todo))  # where the run ends early
        if run.budget_spent:
            self.end_early(clips)
        else:
            clips.rest()
        self.rolling = 0.0
        return jobs.results(lambda: self.estimate(jobs))

    def roll_alone(self) -> None:
        """Make the rollouts that are missing, and nothing else."""
        run, engine = self.run, self.engine
        assert engine is not None and self.unseen is not None
        self.estimated = True  # nothing is known of the scores yet
        if not run.planned:
            self.plan(engine)
        batches = run.batches()
        order = in_turn(batches, run.missing())
        self.unseen.expect([item.row for index in order for item in batches[index].items])
        todo = {item for item in run.items if not (run.rolled(item) or run.scored(item))}
        many = len(todo)
        with Progress(f"{run.suite.name}: rollouts", many, lines=False) as progress:
            jobs, self.progress = Jobs(progress, run.workers, {}), progress

            def status() -> str:
                passed = time.monotonic() - self.begun
                return f"After {duration(passed)}: {self.rolled} of {counted(many, 'rollout')} made."

            with StatusLines(run.say, status):
                self.roll(engine, jobs, todo)
        run.note_states(self.states)

    def plan(self, engine: RolloutEngine) -> None:
        """Fix which clips share a batch, and write it down before the first one."""
        run, o = self.run, self.run.options
        rows = run.suite.rows if o.until is None else splits_mixed(run.suite.rows)  # looks see every split
        batches = engine.plan(rows, batch_size=o.batch_size, samples=o.samples, load=self.clip, horizon=run.horizon)
        if run.shard is not None:
            batches_of_shard(len(batches), *run.shard)  # refused before anything is written
        chained = calls_along_time(run.card, max(batch.horizon for batch in batches)) if o.chain else 1
        run.manifest |= {"batches": [batch.ids for batch in batches], "events": [], "speed": {"chained": chained}}
        run.save_manifest()
        model, many = run.manifest["model"], counted(len(batches), "batch")
        if run.shard:
            many += f", of which shard {o.shard} makes {len(run.own_batches())}"
        run.say(
            f"{model['name']} on {run.suite.name}: {counted(len(rows), 'clip')} of {run.manifest['render_spec']} in "
            f"{many} on {model['device']}, into {run.folder.path}"
        )

    @property
    def scores(self) -> bool:
        """Whether rollouts are scored as soon as they are there."""
        return self.unseen is None and "score" in self.run.stages

    def roll(self, engine: RolloutEngine, jobs: Jobs, todo: set[BatchItem]) -> None:
        """Roll out what is missing, keep it, and have it scored; no more of it than the run may."""
        shares = self.shares and self.scores and self.pool is not None and self.pool.shares_memory
        with short_switch_interval(), encoders(self.run.workers) as pool:
            o = self.run.options  # a model whose time counts, or whose scores come last, does not wait
            longest = 0.0 if o.budget is not None or o.until is not None else patience(self.run.workers)
            self.keeping = RolloutKeeping(self.run.folder, self.run.card.fps, jobs, shares, pool, longest)
            with self.storing:
                self.roll_legs(engine, jobs, todo)
            self.settle(jobs, todo)

    def roll_legs(self, engine: RolloutEngine, jobs: Jobs, todo: set[BatchItem]) -> None:
        """Roll out leg by leg; between two of them all that was begun is scored."""
        run = self.run
        batches = run.batches()
        begun, made, missing = time.monotonic(), 0, len(run.missing())
        notes = RolloutNotes(run, engine)
        for leg in legs(run, batches):
            if run.budget_spent:
                return
            running = contextlib.closing(engine.run(batches, self.clip, only=leg.batches))
            with self.reading_ahead([batches[index] for index in leg.batches]), running as results:
                for result in results:
                    made += 1
                    self.keep(jobs, result, todo, notes)
                    del result  # its frames, before those of the next batch come
                    notes.note_down()
                    jobs.raise_failure()
                    self.rolling = (time.monotonic() - begun) / made * (missing - made)
                    self.estimate(jobs)
                    if run.budget_spent:  # the model is ended: it may have begun another batch
                        return
            if leg.rows:
                self.settle(jobs, todo)
                jobs.results(lambda: self.estimate(jobs))
                if stops_at(run, self.running, leg):
                    return

    def keep(self, jobs: Jobs, result: BatchResult, todo: set[BatchItem], notes: RolloutNotes) -> None:
        """Keep the rollouts of a batch, and have them scored."""
        run = self.run
        run.refuse_deleted()
        new = [item for item in result.batch.items if not run.rolled(item) and not run.scored(item)]
        notes.write_down(result, new, self.states)  # before them: whoever reads a rollout finds how it was made
        own = [rollout for item, rollout in zip(result.batch.items, result.rollouts, strict=True) if item in new]
        storing: list[tuple[BatchItem, Future[None]]] = []
        assert self.keeping is not None
        with contextlib.closing(self.keeping.kept(own)) as keeping:
            for item in result.batch.items:
                kept = next(keeping) if item in new else None
                if isinstance(kept, Future):
                    storing.append((item, kept))
                else:
                    self.go_on(jobs, todo, item, kept)
        self.storing.add(storing, result.seconds / 4)  # meanwhile the model is at work on the next
        self.settle(jobs, todo, BATCHES_STORED)

    def settle(self, jobs: Jobs, todo: set[BatchItem], besides: int = 0) -> None:
        """Wait for rollouts that are being stored, and have them scored; not for so many of the last batches."""
        for item in self.storing.stored(besides):
            self.go_on(jobs, todo, item)

    def go_on(self, jobs: Jobs, todo: set[BatchItem], item: BatchItem, shared: SharedRollout | None = None) -> None:
        """A rollout is stored, or a worker may store it: have it scored."""
        if item in todo and self.scores:
            self.score(jobs, item, shared)
        elif item in todo and self.progress is not None:
            self.progress.advance()
        self.rolled += item in todo
        todo.discard(item)

    def end_early(self, clips: ClipPreparation) -> None:
        """Where the time was spent before all is rolled out: end with what is, and give up the other clips."""
        run = self.run
        wait(self.sent)
        done = {row for row in run.suite.rows if all(run.has(item) for item in run.samples_of(row))}
        if len(done) == len(run.suite.rows):
            clips.rest()
            return
        if not done:
            raise PhysbenchError(
                f"--budget {run.options.budget}: the time was spent before a clip was rolled out. {run.further()}"
            )
        clips.give_up_all_but(done)
        run.stop("budget", str(run.options.budget), [row for row in run.suite.rows if row in done])
        run.say(f"The time of --budget {run.options.budget} is spent: {run.ended()}")

    def score(self, jobs: Jobs, item: BatchItem, shared: SharedRollout | None = None) -> None:
        """Have a rollout scored that is stored, or that the worker stores."""
        run, (row, sample) = self.run, (item.row, item.sample)
        assert self.pool is not None
        future = self.pool.submit(worker.score, run.folder.path, row, sample, run.card, run.options.scorers, shared)
        jobs.add("score", future)
        if shared is not None:
            assert self.keeping is not None
            self.keeping.scoring(shared, future)
            self.sent.append(future)

    def clip(self, row: Row) -> Clip:
        """A clip for the model, as soon as it is made."""
        if self.preparation is not None:
            self.preparation.up_to(row)
            if row in self.preparation.made:
                self.preparation.made[row].result()
        clip = self.unseen.get(row) if self.unseen else self.ahead.get(row) if self.ahead else self.needed(row)
        self.states[row] = clip.state_hash
        return clip

    def needed(self, row: Row) -> Clip:
        """What the model needs of a stored clip."""
        assert self.engine is not None
        clip = self.source.get(row, self.run.card.spec)
        return needed_of(clip, self.run.card, self.engine.info.privileged)

    @contextlib.contextmanager
    def reading_ahead(self, batches: Sequence[Batch]) -> Iterator[None]:
        """Stored clips of the next batches are read while the model works. Those of fresh seeds are in memory."""
        if self.unseen is not None or self.preparation is None or self.engine is None:
            yield
            return
        order = [item.row for batch in batches for item in batch.items]
        most = max((len(batch.items) for batch in batches), default=0) * self.engine.devices
        with ClipsReadAhead(self.needed, self.preparation.is_made, order, most) as self.ahead:
            yield
        self.ahead = None

    def seconds_left(self, jobs: Jobs) -> float | None:
        """Estimate for rollouts and scores, which are made at the same time; None where it is not known yet."""
        left = jobs.seconds_left()
        return None if left is None or self.rolling is None else max(left, self.rolling)

    def estimate(self, jobs: Jobs) -> None:
        """Say once how long it will take, as soon as enough jobs of each kind were measured."""
        if self.progress is not None and self.progress.is_shown and "score" in self.run.stages:
            self.progress.advance(0, self.running.words())
        left = None if self.estimated else self.seconds_left(jobs)
        if left is not None:
            self.estimated = True
            if left > 2:
                what = "rollouts" * (self.engine is not None), "scores" * ("score" in self.run.stages)
                self.run.say(f"{' and '.join(filter(None, what)).capitalize()}: about {duration(left)} left.")

    def status(self, jobs: Jobs, total: int) -> str:
        """How far it is, for a log: "12 of 56 rollouts scored, 0.4 a second, about 2 min left"."""
        passed, left = time.monotonic() - self.begun, self.seconds_left(jobs)
        if "score" in self.run.stages:
            scored = jobs.done("score")
            parts = [f"{scored} of {counted(total, 'rollout')} scored"]
        else:
            scored = self.rolled
            parts = [f"{scored} of {counted(total, 'rollout')} made"]
        if scored:
            rate = scored / passed
            parts.append(f"{rate:.1f} a second" if rate >= 0.95 else f"{rate * 60:.1f} a minute")
        elif self.preparation is not None and (clips := jobs.done("clip")) < len(self.preparation.absent):
            parts.append(f"{clips} of {counted(len(self.preparation.absent), 'clip')} made")
        elif "score" in self.run.stages and (known := jobs.done("references")):
            parts.append(f"ground truth and baselines scored on {counted(known, 'clip')}")
        unknown = "time left not known yet"
        if self.pool is not None and self.pool.noticed.is_set():
            unknown = f"compiling (once on this machine), {unknown}"
        parts.append(unknown if left is None else f"about {duration(left)} left")
        return f"After {duration(passed)}: {', '.join(parts)}."
