"""Runs a submitted model again: on stored clips, for its own readings, and on clips that no store holds.

Fresh seeds, and which stored clips are asked for, are drawn here and now, and told to nobody before the end
(`secret_draw`). Fresh clips are made in this process and given to the model one context at a time. None of them is
written anywhere before the model's process has ended, so that a model that opens files of this machine, or remembers
published clips, finds nothing.

How much better a model is on clips that it may know is read by `skill_gaps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physbench.adapters.load_model import check_target, what_is_handed
from physbench.adapters.model_protocol import ModelCard
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.errors import UsageError
from physbench.leaderboard.board_clips import board_clips
from physbench.leaderboard.check_tables import MODEL_SOURCE, Tables
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.commitment import Commitment
from physbench.leaderboard.eligibility import A_MODEL, rules_for
from physbench.leaderboard.rescoring import rollout_name, track_scorers
from physbench.leaderboard.secret_draw import SecretDraw
from physbench.leaderboard.skill_gaps import PERMUTATIONS, clip_skills, paired_gap, unpaired_gap
from physbench.leaderboard.verdicts import Verdict, not_possible, passed, refused
from physbench.looks.known_looks import check_look
from physbench.progress import Progress
from physbench.results.number_format import bracket, fixed
from physbench.rollouts.rollout import Rollout
from physbench.rollouts.rollout_engine import RolloutEngine
from physbench.rollouts.rollout_store import frames_hash
from physbench.run.options import Options
from physbench.run.references import reference_rollout
from physbench.run.run_manifest import card_document
from physbench.run.run_model import engine_of
from physbench.run.score_shards import SHARD_COLUMNS, rows_document
from physbench.run.worker_jobs import SCORING_PRELOAD
from physbench.scoring.score_clip import score_clip
from physbench.worker_pool import ordered, worker_pool

if TYPE_CHECKING:
    import pandas as pd

STORED_CHECK, FRESH_CHECK = "stored clips again", "fresh seeds"
FEWEST_SEEDS = 2  # of a task: the spread of one clip cannot be known


@dataclass(frozen=True)
class ModelToRun:
    """The model that a submission is said to be of, and how much of it is run."""

    target: str
    fresh_seeds: int = 0  # of each task; 0: none
    model_arg: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"
    trust_code: bool = False
    privileged: bool = False
    batch_size: int | None = None
    timeout: float = 600.0
    draw: str = ""  # the secret of an earlier check, to repeat it; "": another one is drawn


def check_ready(model: ModelToRun, claim: Claim) -> None:
    """Load the model and compare its kind and its card, before anything that takes minutes. Raises PhysbenchError."""
    if model.draw:
        SecretDraw(model.draw)
    if model.fresh_seeds and model.fresh_seeds < FEWEST_SEEDS:
        raise UsageError(f"--fresh-seeds: expected at least {FEWEST_SEEDS} of each task, got {model.fresh_seeds}.")
    said, here = (rules_for(target) for target in (claim.manifest.model.target, model.target))
    if here not in (said, A_MODEL):
        raise UsageError(f"{model.target} is {here}, and what was sent is said to be {said}, which other rules rank")
    if what_is_handed(model.target) == "id":
        return  # recorded videos, which are not run
    if model.fresh_seeds:
        check_look(claim.card.look)
    check_target(model.target, trust_code=model.trust_code)
    with Answers(model, claim).engine(""):
        pass


def check_model(
    model: ModelToRun, claim: Claim, tables: Tables, commitment: Commitment | None, workers: int
) -> list[Verdict]:
    """Run the model on stored and on fresh clips, and compare both with what was sent. Raises PhysbenchError."""
    if what_is_handed(model.target) == "id":
        why = "recorded videos answer the clips that were exported, and no others"
        return [not_possible(STORED_CHECK, why), not_possible(FRESH_CHECK, why)]
    draw = SecretDraw(model.draw) if model.draw else SecretDraw()
    fresh = draw.fresh_rows(claim.suite, model.fresh_seeds) if model.fresh_seeds else ()
    stored = draw.stored_rows(claim.suite.rows, max(len(fresh), len(claim.suite.tasks)))
    answers = Answers(model, claim)
    new = answers.roll_out(fresh, "fresh clips", draw.salt, make_clip) if fresh else {}
    old = answers.roll_out(stored, "stored clips", "", board_clips(claim.archive_path).get)
    verdicts = [_stored_verdict(claim, tables, commitment, old, workers)]
    if fresh:
        verdicts.append(_fresh_verdict(claim, tables, new, workers))
    return [_with_draw(each, draw) for each in verdicts]


def _with_draw(verdict: Verdict, draw: SecretDraw) -> Verdict:
    """The verdict with the secret of its clips, so that the check can be repeated."""
    again = f"; the same clips again: --draw {draw.secret}"
    return replace(verdict, detail=verdict.detail + again, figures={**verdict.figures, "draw": draw.secret})


@dataclass(frozen=True)
class Answers:
    """Rolls a model out in a process that has ended before its answers are read."""

    model: ModelToRun
    claim: Claim

    @contextmanager
    def engine(self, salt: str) -> Iterator[RolloutEngine]:
        """The model in its process, with the card and the precision that were sent.

        salt: Secret that the generators depend on.
        """
        m, computed = self.model, self.claim.manifest.options
        options = Options(
            model=m.target,
            model_arg=m.model_arg,
            device=m.device,
            dtype=computed.dtype,
            autocast=computed.autocast,
            compile=computed.compile,
            trust_code=m.trust_code,
            privileged=m.privileged,
            timeout=m.timeout,
            seed=self.claim.manifest.seed,
            look=self.claim.card.look,
        )
        with engine_of(options, salt) as engine:
            _require_card(engine, self.claim.card)
            yield engine

    def roll_out(
        self, rows: Sequence[Row], what: str, salt: str, load: Callable[[Row, Any], Clip]
    ) -> dict[tuple[Row, int], Rollout]:
        """Rollouts by row and sample. salt: see `engine`; load: makes or reads a clip."""
        card, samples = self.claim.card, self.claim.samples
        found: dict[tuple[Row, int], Rollout] = {}
        with self.engine(salt) as engine, Progress(f"{card.name} on {what}", len(rows) * samples) as progress:
            size = self.model.batch_size or min(len(rows), 8)
            plan = engine.plan(rows, batch_size=size, samples=samples)
            for result in engine.run(plan, lambda row: load(row, card.spec)):
                for item, rollout in zip(result.batch.items, result.rollouts, strict=True):
                    found[item.row, item.sample] = rollout
                    progress.advance()
        return found


def _require_card(engine: RolloutEngine, card: ModelCard) -> None:
    theirs, ours = card_document(card), card_document(engine.card)
    for name in sorted(set(theirs) | set(ours)):
        if theirs.get(name) != ours.get(name):
            said = f"the card that was sent says {theirs.get(name)}"
            raise UsageError(f"the model's {name} is {ours.get(name)}, and {said}")


@dataclass(frozen=True)
class ScoreJob:
    """The rollouts of one clip to score: a fresh one, beside ground truth and the frozen frame, or a stored one."""

    row: Row
    card: ModelCard
    rollouts: tuple[Rollout, ...]
    fresh: bool
    archive: Path | None  # of stored clips, see `board_clips`


def score_answers(job: ScoreJob) -> dict[str, list[dict[str, Any]]]:
    """In a worker: rows of the model and of the references. A fresh clip is made again, and is not stored."""
    clip = (make_clip if job.fresh else board_clips(job.archive).get)(job.row, job.card.spec)
    context, scorers = job.card.scored_context, track_scorers()
    found = {MODEL_SOURCE: [row for each in job.rollouts for row in score_clip(clip, each, context, scorers)[0]]}
    for name in ("truth", "freeze") if job.fresh else ():
        found[name] = score_clip(clip, reference_rollout(name, clip, job.card), context, scorers)[0]
    return {name: rows_document(rows) for name, rows in found.items()}


def scored(
    claim: Claim, answers: Mapping[tuple[Row, int], Rollout], workers: int, *, fresh: bool
) -> dict[str, pd.DataFrame]:
    """Score tables of rollouts on stored clips, or on fresh ones, there also of the references."""
    import pandas as pd

    by_row: dict[Row, list[Rollout]] = {}
    for (row, _), rollout in sorted(answers.items(), key=lambda item: (item[0][0], item[0][1])):
        by_row.setdefault(row, []).append(rollout)
    jobs = [ScoreJob(row, claim.card, tuple(each), fresh, claim.archive_path) for row, each in by_row.items()]
    tables: dict[str, list[dict[str, Any]]] = {}
    with worker_pool(workers, len(jobs), SCORING_PRELOAD) as pool, Progress("scores", len(jobs)) as progress:
        for found in ordered(pool, score_answers, jobs):
            for name, rows in found.items():
                tables.setdefault(name, []).extend(rows)
            progress.advance()
    return {
        name: pd.DataFrame(rows, columns=list(SHARD_COLUMNS)).astype({"value": float, "quality": float})
        for name, rows in tables.items()
    }


def _stored_verdict(
    claim: Claim,
    tables: Tables,
    commitment: Commitment | None,
    answers: Mapping[tuple[Row, int], Rollout],
    workers: int,
) -> Verdict:
    """Whether the model makes on stored clips what was sent of it."""
    same = _same_answers(commitment, answers)
    clips = {row.id for row, _ in answers}
    again = scored(claim, answers, workers, fresh=False)[MODEL_SOURCE]
    sent = tables[MODEL_SOURCE][tables[MODEL_SOURCE]["clip"].isin(clips)]
    before, now = (clip_skills(table, tables["truth"], tables["freeze"]) for table in (sent, again))
    if not before.clips or before.clips != now.clips:
        return not_possible(STORED_CHECK, "none of the clips counts")
    gap = paired_gap(before.skills, now.skills)
    figures = {"gap": gap.value, "interval": gap.interval, "p": gap.p, "clips": len(now.clips), "same_rollouts": same}
    bytes_said = "" if same is None else f", {same} of {len(answers)} rollouts are the same bytes"
    above = f"skill {fixed(gap.value)} {bracket(gap.interval)} above what the model makes of"
    text = f"{above} {len(now.clips)} clips now{bytes_said}"
    if gap.sure:
        return refused(STORED_CHECK, f"what was sent is better than the model: {text}", **figures)
    return passed(STORED_CHECK, text, **figures)


def _same_answers(commitment: Commitment | None, answers: Mapping[tuple[Row, int], Rollout]) -> int | None:
    if commitment is None:
        return None
    pairs = ((commitment.rollouts.get(rollout_name(row.id, sample)), each) for (row, sample), each in answers.items())
    return sum(
        promised is not None and promised.hash == frames_hash(each.frames if each.states is None else each.states)
        for promised, each in pairs
    )


def _fresh_verdict(claim: Claim, tables: Tables, answers: Mapping[tuple[Row, int], Rollout], workers: int) -> Verdict:
    """Whether the model is as good on clips that nobody has seen as on those of the suite."""
    import pandas as pd

    new = scored(claim, answers, workers, fresh=True)
    both = {name: pd.concat([tables[name], new[name]]) for name in (MODEL_SOURCE, "truth", "freeze")}
    found = clip_skills(both[MODEL_SOURCE], both["truth"], both["freeze"])
    drawn = {row.id for row, _ in answers}
    fresh = np.array([clip in drawn for clip in found.clips], dtype=bool)
    if not fresh.any() or fresh.all():
        return not_possible(FRESH_CHECK, "none of the clips counts")
    gap = unpaired_gap(found.skills, fresh, found.strata)
    figures = {"gap": gap.value, "interval": gap.interval, "p": gap.p, "clips": gap.clips}
    text = (
        f"skill on {gap.clips[0]} stored clips less that on {gap.clips[1]} fresh ones: {fixed(gap.value)} "
        f"{bracket(gap.interval)} (an honest model has this gap with a probability of {_probability(gap.p)})"
    )
    if gap.sure:
        return refused(FRESH_CHECK, f"the model knows the stored clips: {text}", **figures)
    return passed(FRESH_CHECK, text, **figures)


def _probability(p: float) -> str:
    return f"under {2 / PERMUTATIONS:g}" if p < 2 / PERMUTATIONS else f"{p:.2g}"
