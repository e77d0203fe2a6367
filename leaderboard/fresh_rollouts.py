"""Runs a submitted model again: on clips drawn in secret, stored and fresh, and compares its skill.

Fresh seeds, and which stored clips are asked for, are drawn here and now, and told to nobody before the end
(`SecretDraw`). Fresh clips are made in this process and given to the model one context at a time. None of them is
written anywhere before the model's process has ended, so that a model that opens files of this machine, or remembers
published clips, finds nothing.

`paired_gap` (the same clips) and `unpaired_gap` (others) read how much better a model is on clips that it may know.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.clips.suite import FRESH_SEEDS, Suite, fresh_suite, spread
from physbench.leaderboard.check_tables import MODEL_SOURCE, Tables, Verdict, not_possible, passed, refused
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.commitment import Commitment
from physbench.leaderboard.eligibility import A_MODEL, rules_for
from physbench.leaderboard.rescoring import board_clips, rollout_name, track_scorers
from physbench.models.load_model import check_target, what_is_handed
from physbench.models.protocol import ModelCard, card_document
from physbench.result.bootstrap import MISS
from physbench.result.formats import bracket, fixed
from physbench.result.skill import SKILL, clip_qualities, task_means
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.store import Rollout, frames_hash
from physbench.run.jobs import SCORING_PRELOAD
from physbench.run.options import Options
from physbench.run.references import reference_rollout
from physbench.run.rollouts import engine_of
from physbench.score.protocol import SHARD_COLUMNS, rows_document
from physbench.score.score_clip import score_clip
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.processes import scheduled
from physbench.support.progress import Progress
from physbench.world.styles.catalogue import check_look

if TYPE_CHECKING:
    import pandas as pd

# What a check draws at random, from one secret: which stored clips a model is asked for again, and fresh seeds.
#
# The secret comes from the randomness of the system when the check begins, so that nobody can prepare for the clips. It
# is printed at the end: who gives it again repeats the check on the same clips.


@dataclass(frozen=True)
class SecretDraw:
    """Numbers that follow from a secret and from what they are for."""

    secret: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{32}", self.secret):
            raise UsageError(
                f"--draw: expected the 32 hexadecimal digits that a check printed, got {self.secret!r:.80}."
            )

    def number(self, *what: object) -> int:
        """A number of 256 bits, another one for each purpose."""
        return int(hashlib.sha256("|".join([self.secret, *map(str, what)]).encode()).hexdigest(), 16)

    @property
    def salt(self) -> str:
        """Secret that a model's generators depend on."""
        return f"{self.number('salt'):064x}"

    def stored_rows(self, rows: tuple[Row, ...], count: int) -> tuple[Row, ...]:
        """`count` of the rows from all tasks and splits in turn, in their old order; a clip with its changes."""
        place = {row: position for position, row in enumerate(rows)}
        order = sorted(rows, key=lambda row: (self.number("stored", row.unchanged.id), place[row]))
        return tuple(sorted(spread(tuple(order), count), key=lambda row: place[row]))

    def fresh_rows(self, suite: Suite, per_task: int) -> tuple[Row, ...]:
        """Clips of the suite's tasks, splits and changes on `per_task` seeds of each task that no store holds."""

        def seed(task: str, index: int) -> int:
            return FRESH_SEEDS[self.number("fresh", task, index) % len(FRESH_SEEDS)]

        return fresh_suite(suite, per_task, seed).rows


# How much better a model is on clips that it may know than on others: the difference of skill, its interval, its odds.
#
# Of an honest model, the clips of a suite and fresh ones are draws from one ensemble: within a task and split, which of
# them is fresh is exchangeable. A permutation test of the difference of mean skill is then exact for any number of
# clips.

REFUSED_BELOW = 0.001  # a gap this improbable for an honest model is refused: one honest model of 1,000
PERMUTATIONS = 20_000


@dataclass(frozen=True)
class Gap:
    """Advantage of a model on clips that it may know."""

    value: float  # mean skill of the one set less that of the other
    interval: tuple[float, float]  # 95 %
    p: float  # how often an honest model has a gap as large
    clips: tuple[int, int]

    @property
    def sure(self) -> bool:
        return self.p <= REFUSED_BELOW and self.interval[0] > 0


@dataclass(frozen=True, eq=False)
class ClipSkills:
    """Skill of each of n clips: mean over the axes on which its task tells truth from the frozen frame."""

    clips: tuple[str, ...]  # (n,)
    strata: NDArray[np.str_]  # (n,) task and split
    skills: Array  # (n,)


def clip_skills(model: pd.DataFrame, truth: pd.DataFrame, freeze: pd.DataFrame) -> ClipSkills:
    """Skill of single clips from score tables; truth and freeze hold the clips of the model."""
    qualities = clip_qualities({"model": model}, truth, freeze, events=False)
    means = task_means(qualities.means(), qualities.counts())
    clips: list[str] = []
    strata: list[str] = []
    skills: list[Array] = []
    for stratum, block in qualities.values.items():  # (3, A, n)
        _, high, low = means[stratum.task]  # (A,)
        tells = high - low >= SKILL.informative_from
        own = (block[0, tells] - low[tells, None]) / (high - low)[tells, None]
        counts = np.isfinite(own)
        kept = counts.any(axis=0)
        skills.append((np.where(counts, own, 0.0).sum(axis=0) / np.maximum(counts.sum(axis=0), 1))[kept])
        clips += [clip for clip, keep in zip(qualities.clips[stratum], kept, strict=True) if keep]
        strata += [f"{stratum.task} {stratum.split}"] * int(kept.sum())
    return ClipSkills(tuple(clips), np.array(strata, dtype=np.str_), np.concatenate([np.zeros(0), *skills]))


def unpaired_gap(skills: Array, fresh: NDArray[np.bool_], stratum: NDArray[Any]) -> Gap:
    """Mean skill of stored clips less that of fresh ones, over strata (task and split) that have both.

    skills, fresh, stratum: (n,) per clip. Each stratum counts by its fresh clips. The p value is that of a permutation
    test within strata; the interval is Welch's, from the pooled variances within strata.
    """
    rng = np.random.default_rng(secrets.randbits(64))
    parts = [skills[stratum == name] for name in np.unique(stratum)]
    flags = [fresh[stratum == name] for name in np.unique(stratum)]
    both = [(s, f) for s, f in zip(parts, flags, strict=True) if f.any() and not f.all()]
    total = sum(int(f.sum()) for _, f in both)
    value, null = 0.0, np.zeros(PERMUTATIONS)
    squares, freedom, errors = np.zeros(2), np.zeros(2), np.zeros(2)
    for s, f in both:
        weight, n, m = f.sum() / total, int(f.sum()), int((~f).sum())
        value += weight * (s[~f].mean() - s[f].mean())
        drawn = rng.permuted(np.broadcast_to(s, (PERMUTATIONS, len(s))), axis=1)
        null += weight * (drawn[:, n:].mean(axis=1) - drawn[:, :n].mean(axis=1))
        for side, own in enumerate((s[~f], s[f])):
            squares[side] += ((own - own.mean()) ** 2).sum()
            freedom[side] += len(own) - 1
        errors += weight**2 / np.array([m, n])
    variance = squares / np.maximum(freedom, 1)
    variance = np.where(freedom > 0, variance, variance[::-1])  # of one clip a stratum, the spread of the others
    freedom = np.where(freedom > 0, freedom, freedom[::-1])
    p = (1 + np.count_nonzero(null >= value - 1e-12)) / (1 + PERMUTATIONS)
    stored = sum(len(s) for s, _ in both) - total
    return Gap(value, _welch(value, variance * errors, freedom), float(p), (stored, total))


def paired_gap(sent: Array, again: Array) -> Gap:
    """Mean of `sent` less `again`, of the same clips (n,): a test that flips signs, and Student's interval."""
    rng = np.random.default_rng(secrets.randbits(64))
    differences = sent - again
    value = float(differences.mean())
    signs = rng.choice([-1.0, 1.0], size=(PERMUTATIONS, len(differences)))
    null = (signs * differences).mean(axis=1)
    p = (1 + np.count_nonzero(null >= value - 1e-12)) / (1 + PERMUTATIONS)
    n = len(differences)
    variance = float(differences.var(ddof=1)) / n if n > 1 else 0.0
    interval = _welch(value, np.array([variance]), np.array([n - 1.0]))
    return Gap(value, interval, float(p), (n, n))


def _welch(value: float, variances: Array, freedom: Array) -> tuple[float, float]:
    """95 % interval of a mean with these variances of its parts and their degrees of freedom."""
    total = float(variances.sum())
    if total <= 0:
        return value, value
    degrees = total**2 / float((variances**2 / np.maximum(freedom, 1)).sum())
    half = float(stdtrit(max(degrees, 1.0), 1 - MISS / 2)) * total**0.5
    return value - half, value + half


STORED_CHECK, FRESH_CHECK = "stored clips again", "fresh seeds"


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
    fewest_seeds = 2  # of a task: the spread of one clip cannot be known
    if model.fresh_seeds and model.fresh_seeds < fewest_seeds:
        raise UsageError(f"--fresh-seeds: expected at least {fewest_seeds} of each task, got {model.fresh_seeds}.")
    claimed, here = (rules_for(target) for target in (claim.manifest.model.target, model.target))
    if here not in (claimed, A_MODEL):
        raise UsageError(f"{model.target} is {here}, and what was sent is said to be {claimed}, which other rules rank")
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
            view=self.claim.card.view,
        )
        with engine_of(options, salt) as engine:
            _require_card(engine, self.claim.card)
            yield engine

    def roll_out(
        self, rows: Sequence[Row], what: str, salt: str, load: Callable[[Row, Any], Clip]
    ) -> dict[tuple[Row, int], Rollout]:
        """Rollouts by row and sample. salt: see `engine`; load: makes or reads a clip."""
        card, samples = self.claim.card, self.claim.samples
        rollouts: dict[tuple[Row, int], Rollout] = {}
        with self.engine(salt) as engine, Progress(f"{card.name} on {what}", len(rows) * samples) as progress:
            size = self.model.batch_size or min(len(rows), 8)
            plan = engine.plan(rows, batch_size=size, samples=samples)
            for result in engine.run(plan, lambda row: load(row, card.spec)):
                for item, rollout in zip(result.batch.items, result.rollouts, strict=True):
                    rollouts[item.row, item.sample] = rollout
                    progress.advance()
        return rollouts


def _require_card(engine: RolloutEngine, card: ModelCard) -> None:
    theirs, ours = card_document(card), card_document(engine.card)
    for name in sorted(set(theirs) | set(ours)):
        if theirs.get(name) != ours.get(name):
            sent = f"the card that was sent says {theirs.get(name)}"
            raise UsageError(f"the model's {name} is {ours.get(name)}, and {sent}")


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
    rows_by_source = {
        MODEL_SOURCE: [row for each in job.rollouts for row in score_clip(clip, each, context, scorers)[0]]
    }
    for name in ("truth", "freeze") if job.fresh else ():
        rows_by_source[name] = score_clip(clip, reference_rollout(name, clip, job.card), context, scorers)[0]
    return {name: rows_document(rows) for name, rows in rows_by_source.items()}


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
    with scheduled(score_answers, jobs, workers=workers, preload=SCORING_PRELOAD, label="scores") as answered:
        for answer in answered:
            for name, rows in answer.items():
                tables.setdefault(name, []).extend(rows)
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
    """Check that the model does as well on stored clips as what was sent of it."""
    same = _same_answers(commitment, answers)
    clips = {row.id for row, _ in answers}
    again = scored(claim, answers, workers, fresh=False)[MODEL_SOURCE]
    sent = tables[MODEL_SOURCE][tables[MODEL_SOURCE]["clip"].isin(clips)]
    before, now = (clip_skills(table, tables["truth"], tables["freeze"]) for table in (sent, again))
    if not before.clips or before.clips != now.clips:
        return not_possible(STORED_CHECK, "none of the clips counts")
    gap = paired_gap(before.skills, now.skills)
    figures = {"gap": gap.value, "interval": gap.interval, "p": gap.p, "clips": len(now.clips), "same_rollouts": same}
    bytes_text = "" if same is None else f", {same} of {len(answers)} rollouts are the same bytes"
    above = f"skill {fixed(gap.value)} {bracket(gap.interval)} above what the model makes of"
    text = f"{above} {len(now.clips)} clips now{bytes_text}"
    if gap.sure:
        return refused(STORED_CHECK, f"what was sent is better than the model: {text}", **figures)
    return passed(STORED_CHECK, text, **figures)


def _same_answers(commitment: Commitment | None, answers: Mapping[tuple[Row, int], Rollout]) -> int | None:
    if commitment is None:
        return None
    pairs = ((commitment.rollouts.get(rollout_name(row.id, sample)), each) for (row, sample), each in answers.items())
    return sum(promised is not None and promised.hash == frames_hash(each.answer) for promised, each in pairs)


def _fresh_verdict(claim: Claim, tables: Tables, answers: Mapping[tuple[Row, int], Rollout], workers: int) -> Verdict:
    """Check that the model is as good on clips that nobody has seen as on those of the suite."""
    import pandas as pd

    new = scored(claim, answers, workers, fresh=True)
    both = {name: pd.concat([tables[name], new[name]]) for name in (MODEL_SOURCE, "truth", "freeze")}
    skills = clip_skills(both[MODEL_SOURCE], both["truth"], both["freeze"])
    drawn = {row.id for row, _ in answers}
    fresh = np.array([clip in drawn for clip in skills.clips], dtype=bool)
    if not fresh.any() or fresh.all():
        return not_possible(FRESH_CHECK, "none of the clips counts")
    gap = unpaired_gap(skills.skills, fresh, skills.strata)
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
