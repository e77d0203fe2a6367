"""Conditions of a board: suites, versions, sizes and rates that are measured well enough.

They are tested in milliseconds, before the checks that take minutes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.clips.suite import FRESH, Suite, find_suite, suite_label
from physbench.leaderboard.claim import Claim
from physbench.result.build import FINAL_FROM
from physbench.result.document import ResultDocument
from physbench.score.score_clip import reading_of
from physbench.support.errors import UsageError
from physbench.world.scene import PLAIN

if TYPE_CHECKING:
    import pandas as pd

# Whether a size and a rate are measured well enough to be ranked: ground truth itself must be lawful there.


def refuse_unmeasurable(source: Path, spec: object, context: int, truth: pd.DataFrame) -> None:
    """Raise UsageError where no model is ranked at this size and rate. source: for the message."""
    reason = why_not_ranked(truth)
    if reason:
        raise UsageError(
            f"{source}: {spec} with {context} context frames is not ranked: {reason}. Use larger frames, or a higher "
            "rate."
        )


def why_not_ranked(truth: pd.DataFrame) -> str | None:
    """Reason that no model is ranked at size, rate and context of these scores of ground truth; None where models are.

    A clip of ground truth that could not be read counts as unexplained and as broken.
    """
    read = truth[truth["status"] != "not applicable"]
    explained = reading_of("explained-share")
    # The scorer's own reading has a row where its further ones have none: it failed.
    clips = read.loc[read["reading"] == reading_of("lawfulness"), "clip"]
    known = read[read["status"] == "ok"].set_index("clip")
    if clips.empty or not (known["reading"] == explained).any():
        return f"ground truth has no {explained}, which shows whether it is lawful"
    shares = known.loc[known["reading"] == explained, "value"].reindex(clips).fillna(0.0)
    breaks = known.loc[known["reading"] == reading_of("first-break"), "reason"].reindex(clips).fillna("unread")
    broken = (breaks != "").mean()
    least_explained = 0.98  # of ground truth, mean over its clips
    if shares.mean() < least_explained:
        return f"of ground truth {shares.mean():.1%} is explained as lawful, and {least_explained:.0%} is required"
    most_broken = 0.05  # of its clips
    if broken > most_broken:
        return f"{broken:.0%} of the clips of ground truth have a break, and at most {most_broken:.0%} may"
    return None


SUITE = "core"
UNTRAINED = "untrained:"
COMPARISON = ("baseline:", "saboteur:", UNTRAINED)  # targets that take no rank
A_MODEL = "a model of its own"


@dataclass(frozen=True)
class Candidate:
    """Properties by which a board takes an entry, and its name there."""

    name: str  # of the entry
    suite: str
    version: int
    hash: str
    clips: int
    provisional: bool  # headline scorers may still change
    local: bool  # the machine does not reproduce the suite's states
    states: bool  # the model answers with states
    look: str  # in which clips were shown
    archive: str  # SHA-256 of that which the pictures of another look came from; "" of the plain one
    spec: str  # size, rate and look

    @property
    def suite_words(self) -> str:
        return suite_label(self.suite, self.version, self.provisional)


def entry_name(
    name: str, target: str, sha256: str | None, args: Mapping[str, str], spec: str, context: int, samples: int
) -> str:
    """ "objects-1a2b3c4d": the model's name and a hash of what was run: model, arguments, size, context, samples."""
    identity = (target if sha256 is None else sha256, sorted(args.items()), spec, context, samples)
    short = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:40] or 'model'}-{short}"


def of_claim(claim: Claim) -> Candidate:
    """The candidate of a submission whose clips were checked."""
    suite, model = claim.suite, claim.manifest.model
    name = entry_name(
        claim.card.name,
        model.target,
        model.sha256,
        model.args,
        str(claim.card.spec),
        claim.card.scored_context,
        claim.samples,
    )
    return Candidate(
        name,
        suite.name,
        suite.version,
        suite.hash,
        len(suite.rows),
        provisional=suite.version < FINAL_FROM or suite.in_development,
        local=False,
        states=not claim.card.sees_pictures,
        look=claim.card.look,
        archive=claim.archive_hash,
        spec=str(claim.card.spec),
    )


def of_result(result: ResultDocument, archive: str = "") -> Candidate:
    """The candidate of a result, or the entry that it is of. archive: that of its pictures, as of `Candidate`."""
    model, suite = result.model, result.suite
    name = entry_name(
        model.name, model.target, model.sha256, model.args, result.render_spec, result.context, result.counts.samples
    )
    return Candidate(
        name,
        suite.name,
        suite.version,
        suite.hash,
        suite.clips,
        provisional=result.provisional,
        local=suite.local,
        states=not model.card.sees_pictures,
        look=model.card.look,
        archive=archive,
        spec=result.render_spec,
    )


def rules_for(target: str) -> str:
    """Under which rules a target is ranked, as far as it decides that."""
    if target.startswith(COMPARISON):
        return "a baseline of physbench"
    return "recorded videos" if target.startswith("videos:") else A_MODEL


def board_suite() -> Suite:
    """The clips that a board ranks models on."""
    return find_suite(SUITE)


def refuse_other_suite(source: Path, name: str) -> None:
    """Raise UsageError for a run of another suite than the one that is ranked."""
    if name.startswith(FRESH):
        raise UsageError(
            f"{source}: ran on fresh seeds. The board ranks models on the same clips: run eval --suite {SUITE} "
            "without --fresh-seeds."
        )
    if name != SUITE:
        raise UsageError(f"{source}: ran the suite {name}; the board ranks {SUITE}. Run eval --suite {SUITE}.")


def refuse_unrankable(source: Path, candidate: Candidate) -> None:
    """Raise UsageError where no board takes the candidate, whatever entries it has. source: for messages."""
    refuse_other_suite(source, candidate.suite)
    whole = board_suite()
    if (candidate.version, candidate.hash, candidate.clips) != (whole.version, whole.hash, len(whole.rows)):
        raise UsageError(
            f"{source}: ran {candidate.clips} clips of {candidate.suite_words} ({candidate.hash[:12]}); the board "
            f"ranks all {len(whole.rows)} clips of {whole.label} ({whole.hash[:12]}). Run all of it, "
            "without --limit, --tasks, --budget and --until."
        )
    if candidate.provisional:
        raise UsageError(
            f"{source}: ran {candidate.suite_words}, whose scorers may still change. Boards rank published "
            "versions of a suite alone."
        )
    if candidate.local:
        raise UsageError(
            f"{source}: its clips were made on a machine that does not reproduce the suite's states. Check it "
            "with: physbench data verify"
        )
    if candidate.look != PLAIN and not candidate.archive:
        raise UsageError(
            f"{source}: was shown pictures of the look {candidate.look} that its own machine has drawn, and another "
            "one draws other bytes. Boards take runs on the archive that they publish: run eval --clips FILE."
        )


def refuse_ineligible(source: Path, candidate: Candidate, board: Path, others: Sequence[Candidate]) -> None:
    """Raise UsageError where a board with these entries does not take the candidate. source: for messages."""
    refuse_unrankable(source, candidate)
    _refuse_other_pictures(source, candidate, board, others)
    if {each.states for each in others} - {candidate.states}:
        ours, theirs = ("states", "frames") if candidate.states else ("frames", "states")
        raise UsageError(
            f"{source}: the model answers with {ours}, and {board} ranks models that answer with {theirs}. Their "
            f"overall skills are means of other axes. Put it on a board of its own: --board DIR."
        )
    if {(each.version, each.hash) for each in others} - {(candidate.version, candidate.hash)}:
        raise UsageError(f"{board}: holds results of another version of {SUITE}. Start a new board: --board DIR.")


def _refuse_other_pictures(source: Path, candidate: Candidate, board: Path, others: Sequence[Candidate]) -> None:
    """Raise UsageError where pictures of a look that machines draw differently are not those of the board's archive."""
    if candidate.look == PLAIN:
        return
    of_others = (each for each in others if each.name != candidate.name)  # its own entry may be replaced
    published = {each.archive for each in of_others if each.spec == candidate.spec} - {candidate.archive}
    if published:
        raise UsageError(
            f"{source}: was shown the clips of the archive {candidate.archive[:12]}, and {board} ranks "
            f"{candidate.spec} on those of {min(published)[:12]}. Run eval --clips with that one."
        )


def refuse_present(path: Path, board: Path) -> None:
    """Raise UsageError where a board has an entry at this place already."""
    if path.exists():
        raise UsageError(
            f"{board} has an entry of this model already: {path.name}. Give --replace to put this one in its "
            "place; the old one is kept in the history of the board."
        )
