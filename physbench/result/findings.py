"""Faults of a run, most explaining first, with the phrases that scorers declare.

One threshold of evidence holds for all: several clips show it, it explains most of what is lost where a law is named,
and the objects are there to be read. Absent objects follow no law. So where most of them are lost, that is the first
finding, and no law is named in their family. A law is named where a changed world explains most of what the true laws
leave unexplained; by a reading alone only where no diagnosis has looked, and where its interval excludes the truth.
Of a family of which most objects are lost nothing is said of the motion. That positions tremble is no physics: it comes
after what the motion breaks, and in its place where nothing else is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from physbench.result import formats
from physbench.result.coverage import applicable_axes, pixel_progress
from physbench.result.document import (
    EventFrequencyResult,
    Finding,
    ImpliedLawResult,
    ImpliedWorldResult,
    ReadingValue,
    ResultDocument,
    TimingResult,
)
from physbench.result.formats import bracket, counted, joined, number
from physbench.result.manifest import renew
from physbench.result.readings import strength_text
from physbench.score.protocol import ReadingRole, Scorer
from physbench.score.score_clip import builtin_scorers, reading_name, reading_of
from physbench.shadowing.nuisances import NOISE
from physbench.support.errors import UsageError
from physbench.support.files import file_sha256, read_sealed_json, write_sealed_json
from physbench.support.plugins import first_line
from physbench.support.run_folder import RunFolder

# What a sentence may name as broken: phrases and thresholds, as declared beside the scorers.
#
# The manifest of a run holds those of scorers that do not come with physbench: where a result is built, the file or the
# package with the scorer may be missing.


@dataclass(frozen=True)
class LawPhrase:
    """Phrase for a reading that is off, and the difference from which it is."""

    phrase: str  # "gravity {}": {} is the value with its unit
    breaks_at: float  # difference from ground truth, in the reading's unit
    needs_constants: bool  # left out where the context does not show every constant
    seen: tuple[str, str] = ("", "")  # what one would see where the reading is too small, and too large

    def __post_init__(self) -> None:
        two = len(self.seen) == 2 and all(isinstance(text, str) for text in self.seen)
        if self.phrase.count("{}") != 1 or not self.breaks_at > 0 or not two:
            raise ValueError(f"expected a phrase with one {{}}, a threshold above 0 and two sights, got {self}")

    def say(self, value: str) -> str:
        """ "gravity 6.2 m/s²"."""
        return self.phrase.replace("{}", value)

    @property
    def prefix(self) -> str:
        """Text before a value without a space, as in "r^-2", that belongs to that of ground truth too."""
        return self.phrase[: self.phrase.index("{}")].rpartition(" ")[2]


def phrases_of(scorers: Iterable[Scorer]) -> dict[str, LawPhrase]:
    """Phrases that scorers declare, by reading."""
    return {
        reading_name(each.id, key): LawPhrase(
            phrase, each.breaks_at, key in each.needs_constants, dict(each.seen).get(key, ("", ""))
        )
        for each in scorers
        if each.breaks_at is not None
        for key, phrase in each.phrases
    }


@cache
def builtin_phrases() -> Mapping[str, LawPhrase]:
    """Those of the scorers that come with physbench."""
    return phrases_of(builtin_scorers())


def own_laws_document(scorers: Iterable[Scorer]) -> dict[str, Any]:
    """For the manifest: what scorers that do not come with physbench declare."""
    known = {each.id for each in builtin_scorers()}
    phrases = phrases_of(each for each in scorers if each.id not in known)
    return {name: asdict(law) for name, law in phrases.items()}


def law_phrases(own_laws: Mapping[str, Mapping[str, Any]]) -> dict[str, LawPhrase]:
    """Those of a run, whose manifest holds those of its own. Raises UsageError where the manifest is damaged."""
    try:
        own = {name: LawPhrase(**law) for name, law in own_laws.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"manifest.json: own_laws cannot be read ({error}). Run it again with --fresh.") from error
    return {**own, **builtin_phrases()}


@dataclass(frozen=True)
class FindingLimits:
    """Bounds from which a finding is worth a sentence."""

    # share of objects that are lost, or of unexplained time that is explained, from which it is most of it
    most: float = 0.5
    breaks_below: float = 0.95  # share of the time for which ground truth stays lawful
    large: float = 0.5  # of the lawful time that the worst family loses: a law is named only where as much is lost
    many_thresholds: float = 3.0  # thresholds by which a law is off where there is no interval
    least_apart: float = 0.1  # of ground truth's size: difference that counts where there are no intervals
    same_skill: float = 0.02  # of no difference, where there are no intervals
    spurious: float = 0.1  # share of the frames with what the scene does not hold, from which that is said
    # diameters, noise of positions beyond what outlines tell, from which that is said; codecs leave less
    trembles: float = 0.015


SAID = FindingLimits()


Laws = Mapping[str, LawPhrase]


def findings(result: ResultDocument, laws: Laws) -> list[Finding]:
    """Faults of a run, most explaining first.

    Each function below decides one finding. Absent objects come before the laws where most of them are absent, else
    after them.

    laws: what may be named as broken, by reading.
    """
    if result.counts.scored == 0:
        return [_finding("failed", f"No clip could be scored: all {result.counts.clips} failed.", result.counts.clips)]
    if frozen := _frozen(result):
        return [frozen]
    lost, spurious, motion = _lost(result), _spurious(result), _timing(result) or _motion(result, laws)
    shaken = _tremble(result)
    if motion is None:
        motion, shaken = shaken, None
    ordered = [lost, spurious, motion] if _is_first(lost, motion, result) else [motion, lost, spurious]
    ordered.append(shaken)
    return [each for each in ordered if each is not None]


def _finding(kind: str, sentence: str, clips: int, **more: object) -> Finding:
    return Finding.model_validate({"kind": kind, "sentence": sentence, "clips": clips, **more})


def _frozen(result: ResultDocument) -> Finding | None:
    """Finding that no axis differs from the frozen last frame, with pixel progress; None where one does."""
    axes = [result.axes[axis] for axis in applicable_axes(result.model.card)]
    if any(axis.skill is None for axis in axes):
        return None
    same = [
        abs(a.skill or 0) < SAID.same_skill if a.interval is None else a.interval[0] <= 0 <= a.interval[1] for a in axes
    ]
    if not all(same):
        return None
    early = pixel_progress(result.readings)
    value = "" if early is None else formats.fixed(early)
    pixels = f" Pixels of the first 0.5 s read {value}: 0 is frozen, 1 is ground truth." if value else ""
    words = f"Cannot be told from a frozen last frame: no axis differs from it.{pixels}"
    return _finding("frozen", words, result.counts.scored)


# Objects


def _is_first(lost: Finding | None, motion: Finding | None, result: ResultDocument) -> bool:
    """True if absent objects say more than the motion of the others."""
    if lost is None:
        return False
    if (lost_share(result, "survival") or 0.0) > SAID.most:
        return True
    if motion is not None and motion.kind in ("timing", "changed world", "law"):
        return False
    return (lost_share(result, "reemergence") or 0.0) > SAID.most or _is_absence(result)


def _is_absence(result: ResultDocument, family: str = "") -> bool:
    """True if most of the time that the laws do not explain, in a family or all, is that of absent objects."""
    absent, unexplained = (lost_share(result, role, family) for role in ("survival", "explained-share"))
    if absent is None or unexplained is None or unexplained < 1 - SAID.breaks_below:
        return False
    return absent >= SAID.most * unexplained


def _lost(result: ResultDocument) -> Finding | None:
    """Objects that do not come back from behind screens, and that vanish in view, with how many clips failed."""
    words = _lost_words(result)
    if words is None:
        return None
    if result.counts.failed:
        failed = f"{result.counts.failed} of {counted(result.counts.clips, 'clip')} failed"
        words = f"{words.removesuffix('.')} where it could be seen: {failed}."
    roles: tuple[ReadingRole, ...] = ("survival", "reemergence")
    shares = {role: share for role in roles if (share := lost_share(result, role)) is not None}
    role = max(shares, key=lambda each: shares[each])
    clips = sum(value.clips for value in _kept_values(result, role))
    if not any(departs(value) for each in shares for value in _kept_values(result, each)):
        return _finding("objects kept", words, clips, what=reading_of(role), value=shares[role])
    families = {_family(task) for task in result.tasks}
    worst = max(sorted(families), key=lambda family: lost_share(result, role, family) or 0.0)
    return _finding(
        "objects lost", words, clips, family=worst, what=reading_of(role), value=shares[role], share=shares[role]
    )


def _lost_words(result: ResultDocument) -> str | None:
    hidden, view = _lost_figure(result, "reemergence"), _lost_figure(result, "survival")
    if hidden is None and view is None:
        return None
    if hidden:
        also = f" and {view} in view" if view else ""
        return f"Loses {hidden} of objects behind screens{also}."
    if view:
        return (
            f"Loses no object behind screens, but {view} in view."
            if hidden == ""
            else f"Loses {view} of objects in view."
        )
    return "Loses no object behind screens." if hidden == "" else "Loses no object in view."


def _lost_figure(result: ResultDocument, role: ReadingRole) -> str | None:
    """The complement of a share that is kept: "31 % [25, 37]", "" for no loss, None where there is no reading."""
    values, share = _kept_values(result, role), lost_share(result, role)
    if share is None:
        return None
    if not any(departs(value) for value in values):
        return ""
    clips = sum(value.clips for value in values)
    single = values[0].interval if len(values) == 1 and values[0].clips == clips else None
    interval = f" [{100 * (1 - single[1]):.0f}, {100 * (1 - single[0]):.0f}]" if single else ""
    return f"{100 * share:.0f} %{interval}"


def lost_share(result: ResultDocument, role: ReadingRole, part: str = "") -> float | None:
    """The complement of a share that is kept, mean over the clips of a family, a task, or all; None without one."""
    values = _kept_values(result, role, part)
    if not values:
        return None
    return 1 - sum((value.value or 0.0) * value.clips for value in values) / sum(value.clips for value in values)


def _kept_values(result: ResultDocument, role: ReadingRole, part: str = "") -> list[ReadingValue]:
    """Values of a reading by task, where most clips have one; none where too few clips do in all."""
    reading = result.readings.get(reading_of(role))
    values = [
        value
        for task, value in (reading.tasks.items() if reading else ())
        if part in ("", _family(task), task)
        if value.value is not None and 2 * value.clips >= value.applicable  # else too much failed to tell
    ]
    return values if sum(value.clips for value in values) >= FEWEST_CLIPS else []


def _spurious(result: ResultDocument) -> Finding | None:
    """Finding on spurious and doubled objects, those in other colours included; None where there are few."""
    shown: dict[ReadingRole, str] = {
        "unknown-objects": "objects that the scene does not hold, or holds in other colours",
        "doubled-objects": "an object twice",
    }
    shares = {role: 1 - lost for role in shown if (lost := lost_share(result, role)) is not None}
    role = max(shares, key=lambda each: shares[each], default=None)
    if role is None or shares[role] < SAID.spurious or not any(map(departs, _kept_values(result, role))):
        return None
    words = f"{100 * shares[role]:.0f} % of the frames show {shown[role]}."
    clips = sum(value.clips for value in _kept_values(result, role))
    return _finding("spurious objects", words, clips, what=reading_of(role), value=shares[role])


# Motion


def _timing(result: ResultDocument) -> Finding | None:
    """The timing of frames, where it explains most of what is lost: no law is named then."""
    timing = result.timing
    if timing is None or not timing.named:
        return None
    first = timing.faults[0]
    return _finding(
        "timing",
        timing.sentence,
        timing.clips,
        what=" + ".join(each.kind for each in timing.faults),
        value=first.value,
        interval=first.interval,
        unit=first.unit,
        share=timing.explained,
    )


def _motion(result: ResultDocument, laws: Laws) -> Finding | None:
    """Finding on broken laws: the law where that is sure, else the family, the time and the size."""
    kept = kept_lawful(result)
    ranked = sorted(kept, key=lambda family: (kept[family], family))
    if not ranked:
        return None
    if kept[ranked[0]] >= SAID.breaks_below:
        whole = _finding("lawful", "No law breaks before the end.", result.counts.scored)
        return _avoided(result) or whole
    several = [family for family in ranked if clips_of_family(result, family) >= FEWEST_CLIPS]
    if not several:
        clips = counted(result.counts.scored, "clip")
        return _finding("too few clips", f"{clips}: too few of a family to say what goes wrong.", result.counts.scored)
    several = [family for family in several if _there(result, family)]
    if not several or kept[several[0]] >= SAID.breaks_below:
        return None  # what is not there has no motion of which anything could be said
    worst = several[0]
    large = [family for family in several if 1 - kept[family] >= SAID.large * (1 - kept[worst])]
    tellers: tuple[Callable[[str], Finding | None], ...] = (
        lambda family: _world(result, family),
        lambda family: _reading(result, family, laws),
    )
    for teller in tellers:
        for family in large:
            if teller_reading := teller(family):
                begin = "Worst" if family == worst else "Clearest"
                return teller_reading.model_copy(update={"sentence": f"{begin} in {teller_reading.sentence}."})
    broken = (family for family in several if kept[family] < SAID.breaks_below and not _is_lawful(result, family))
    worst = next((family for family in broken if not _is_absence(result, family)), "")
    return _unnamed(result, worst) if worst else None


def _tremble(result: ResultDocument) -> Finding | None:
    """Positions that are off independently in each frame, where most clips of a family show it; None where none does.

    Independence is told by the diagnosis, the size by the reading of jitter.
    """
    shaken = [family for family, world in result.implied_worlds.items() if world.tremble >= SAID.trembles]
    values = [
        value
        for family in shaken
        if sum(value.clips for value in _kept_values(result, "jitter", family)) >= FEWEST_CLIPS
        for value in _kept_values(result, "jitter", family)
    ]
    if not values:
        return None
    clips = sum(value.clips for value in values)
    size = sum((value.value or 0.0) * value.clips for value in values) / clips
    interval = values[0].interval if len(values) == 1 else None
    where = "" if len(shaken) == len(result.implied_worlds) else f" in {joined(shaken)}"
    words = f"Positions tremble by {formats.fixed(size)} diameters{where}, in each frame anew"
    cost = "costs little" if size <= NOISE.most else f"costs little up to {NOISE.most:g} diameters"
    words = f"{words}: that is no physics and {cost}."
    return _finding("tremble", words, clips, what=reading_of("jitter"), value=size, interval=interval, unit="diameters")


def _there(result: ResultDocument, part: str) -> bool:
    """True if most objects of a family, or a task, are there, in view and after they were hidden."""
    shares = [lost_share(result, role, part) for role in ("survival", "reemergence")]
    return all(share is None or share <= SAID.most for share in shares)


def _is_lawful(result: ResultDocument, family: str) -> bool:
    """True if a diagnosis of all tasks of a family finds it lawful: what counts as unexplained has no place."""
    world, reading = result.implied_worlds.get(family), result.readings.get(reading_of("lawful-time"))
    tasks = {task for task in result.tasks if _family(task) == family}
    return world is not None and world.verdict == "lawful" and reading is not None and tasks <= set(reading.tasks)


def _avoided(result: ResultDocument) -> Finding | None:
    """Finding that no law breaks since decisive events do not happen, on the task that loses most; None without one."""
    lost = [(each.lost, task, kind, each) for task, kind, each in event_counts(result) if each.lost > 0]
    if not lost:
        return None
    _, task, kind, each = max(lost, key=lambda item: item[:3])
    words = (
        f"No law breaks before the end, since what is hard is avoided: a {kind} in {each.seen:.3g} of {each.clips} "
        f"clips of {formats.short(task)}, where lawful futures have {each.expected:.1f}."
    )
    return _finding("avoided", words, each.clips, family=_family(task), what=kind, value=each.seen, share=each.lost)


def event_counts(result: ResultDocument) -> Iterator[tuple[str, str, EventFrequencyResult]]:
    """Task, kind and figures of all events that were counted."""
    for task, kinds in result.event_frequency.items():
        for kind, each in kinds.items():
            yield task, kind, each


def kept_lawful(result: ResultDocument) -> dict[str, float]:
    """By family: for how long it stays lawful, as a share of ground truth; without a time, the share of consistency."""
    reading = result.readings.get(reading_of("lawful-time"))
    ratios: dict[str, list[float]] = {}
    for task, axes in result.tasks.items():
        axis = axes.get("consistency")
        if axis is None or axis.kind not in ("informative", "guard"):
            continue
        timed = reading.tasks.get(task) if reading else None
        value, truth = axis.quality, axis.references["truth"]
        if timed is not None:
            value, truth = (timed.value or 0.0) * timed.clips / max(timed.applicable, 1), timed.references["truth"]
        if value is not None and truth:
            ratios.setdefault(_family(task), []).append(value / truth)
    return {family: sum(shares) / len(shares) for family, shares in ratios.items()}


def clips_of_family(result: ResultDocument, family: str) -> int:
    """Clips of a family that count on consistency."""
    axes = (axes.get("consistency") for task, axes in result.tasks.items() if _family(task) == family)
    return sum(axis.clips for axis in axes if axis is not None)


def _world(result: ResultDocument, family: str) -> Finding | None:
    """The changed world that explains most of a family's motion; None where the diagnosis names none."""
    world = result.implied_worlds.get(family)
    if world is None or world.verdict != "named":
        return None
    share = f"explains {100 * world.share:.0f} % of what the true laws do not"
    law = world.laws[0]
    return _finding(
        "changed world",
        f"{family}: as if {sentence_of(world.laws)}{_so([law.seen for law in world.laws])} ({share})",
        world.clips if world.explained_clips is None else world.explained_clips,
        family=family,
        what=" + ".join(each.id for each in world.laws),
        value=law.value,
        interval=law.interval,
        unit=law.unit,
        share=world.share,
    )


def _reading(result: ResultDocument, family: str, laws: Laws) -> Finding | None:
    """The reading of a law that is farthest over its threshold in a family; None where none is surely.

    A diagnosis that found no law is not contradicted. Where it found its own clips lawful, others are wrong: those of
    tasks whose scenes no law moves.
    """
    world = result.implied_worlds.get(family)
    if world is not None and world.verdict != "lawful":
        return None
    broken = [
        ("." not in name, off, name, task, value)  # a law's own reading before its parts
        for name, reading in result.readings.items()
        if name in laws and not (result.unseen_constants and laws[name].needs_constants)
        for task, value in reading.tasks.items()
        if _family(task) == family and (off := _off(laws[name], value)) >= 1 and _there(result, task)
    ]
    if not broken:
        return None
    _, _, name, task, value = max(broken, key=lambda item: item[:4])
    law, unit = laws[name], result.readings[name].unit
    true = value.references["truth"] or 0.0
    size = f"{number(value.value, 2)} {formats.unit(unit)}".strip()
    if value.interval:
        size += f" [{number(value.interval[0], 2)}, {number(value.interval[1], 2)}]"
    place = family if sum(_family(each) == family for each in result.tasks) == 1 else ""
    place = place or f"{family} ({formats.short(task)})"
    seen = law.seen[int((value.value or 0.0) > true)]
    return _finding(
        "law",
        f"{place}: {law.say(size)} where the truth has {law.prefix}{number(true, 2)}{_so([seen])}",
        value.clips,
        family=family,
        what=name,
        value=value.value,
        interval=value.interval,
        unit=unit,
    )


def _off(law: LawPhrase, value: ReadingValue) -> float:
    """Deviation of a law's reading, over what counts as broken; 0 where that is not sure."""
    truth = value.references["truth"]
    if value.value is None or truth is None or not _tells(value):
        return 0.0
    off = abs(value.value - truth) / law.breaks_at
    return off if value.departs or (value.interval is None and off >= SAID.many_thresholds) else 0.0


def _so(seen: list[str]) -> str:
    words = joined([each for each in dict.fromkeys(seen) if each])
    return f", so that {words}" if words else ""


def _unnamed(result: ResultDocument, family: str) -> Finding:
    """Finding on the size and onset of unlawful motion in a family, where no single law explains it."""
    first, world = result.first_breaks.get(family), result.implied_worlds.get(family)
    why = " No single changed law explains it." if world is not None and world.verdict == "no simple law" else ""
    if first is not None and first.median is not None and 2 * first.broken >= first.clips:
        size = None if result.strength is None else result.strength.families.get(family)
        far = ""
        if size is not None and size.median:
            far = f", {strength_text(size.median)} diameters off the nearest lawful path"
        clips = f"in {first.broken} of {counted(first.clips, 'clip')}"
        words = f"motion is unlawful from {max(first.median, 0.1):.1f} s on {clips}{far} (medians)"
        value, unit, number_of = first.median, "s", first.clips
    else:
        quality = result.families[family]["consistency"].quality or 0.0
        failed = len({item.clip for item in result.failures if item.clip.split(".")[0] == family})
        also = f"; {failed} of its clips failed" if failed else ""
        words = f"{100 * quality:.0f} % of its motion is explained by the laws{also}"
        value, unit, number_of = quality, "1", clips_of_family(result, family)
    sentence = f"Worst in {family}: {words}.{why}"
    return _finding("unlawful", sentence, number_of, family=family, what="motion", value=value, unit=unit)


# Evidence


def _tells(value: ReadingValue) -> bool:
    """True if a reading was taken in several clips, and in half of those in which ground truth has one."""
    return value.clips >= FEWEST_CLIPS and 2 * value.clips >= value.applicable


def departs(value: ReadingValue) -> bool:
    """True if a reading differs from ground truth: by its interval, without one by more than `least_apart`."""
    if value.value is None or 2 * value.clips < value.applicable:
        return False
    return value.departs if value.interval else apart(value) > SAID.least_apart


def apart(value: ReadingValue) -> float:
    """Distance from ground truth over the size of ground truth's value (at least 0.1 in its unit)."""
    truth = value.references["truth"]
    return abs(value.value - truth) / max(abs(truth), 0.1) if value.value is not None and truth is not None else 0.0


def _family(task: str) -> str:
    return task.split("/")[0]


FEWEST_CLIPS = 3  # that show what is said of a run; one or two may be anything
NOT_A_DIAGNOSIS = (ValueError, KeyError, TypeError, AttributeError)  # what reading another document raises


def write_diagnosis(
    folder: RunFolder, worlds: dict[str, ImpliedWorldResult], timing: TimingResult | None = None
) -> None:
    """Write what was found by family, and of the timing, with the hash of the scores beside which it was made."""
    families = {family: world.model_dump(mode="json") for family, world in worlds.items()}
    document = {"schema_version": 1, "scores": file_sha256(folder.scores), "families": families}
    if timing is not None:
        document["timing"] = timing.model_dump(mode="json")
    write_sealed_json(folder.diagnosis, document)
    renew(folder, folder.diagnosis)


@dataclass(frozen=True)
class Diagnosis:
    """Explanations of a run's motion."""

    worlds: dict[str, ImpliedWorldResult] = field(default_factory=dict)  # by family
    timing: TimingResult | None = None  # None: nothing is wrong with the timing of frames


def read_diagnosis(folder: RunFolder) -> Diagnosis | None:
    """Diagnosis of a run; None where there is none, or where the run has other scores since.

    Raises UsageError where the file is damaged.
    """
    try:
        document = read_sealed_json(folder.diagnosis, required=False)
        if document["schema_version"] != 1 or document["scores"] != file_sha256(folder.scores):
            return None
        worlds = {str(name): ImpliedWorldResult.model_validate(each) for name, each in document["families"].items()}
        timing = document.get("timing")
        return Diagnosis(worlds, None if timing is None else TimingResult.model_validate(timing))
    except OSError:
        return None
    except NOT_A_DIAGNOSIS as error:
        again = f"Make it again: physbench diagnose {folder.path}"
        raise UsageError(f"{folder.diagnosis}: is damaged ({first_line(str(error))}). {again}") from error


def is_diagnosed(folder: RunFolder) -> bool:
    """True if a diagnosis stands beside the scores that the run has now."""
    try:
        return read_diagnosis(folder) is not None
    except UsageError:
        return False


def implied_sentence(world: ImpliedWorldResult) -> str:
    """Explanation of a family's motion: "as if gravity were 0.90 [0.89, 0.91] times as strong ..."."""
    if world.verdict == "lawful":
        return f"the true laws explain {100 * (1 - world.unexplained):.0f} % of the time; there is nothing to name"
    if world.verdict == "unsure":
        return f"no law is sure: {joined([law.short for law in world.laws])} would explain most, {_too_little(world)}"
    if world.verdict == "no simple law":
        best = ""
        if world.laws and world.share > 0:
            names = joined([law.short for law in world.laws])
            best = f"; what explains most, {names}, explains {100 * world.share:.0f} % of what the true laws do not"
        return f"no simple law explains it{best}"
    return f"as if {sentence_of(world.laws)} (explains {100 * world.share:.0f} % of what the true laws do not)"


def _too_little(world: ImpliedWorldResult) -> str:
    """Reason that the best explanation is not sure."""
    if world.explained_clips is not None and world.explained_clips < FEWEST_CLIPS:
        return f"told by {counted(world.explained_clips, 'clip')}"
    return "but its value is not sure"


def sentence_of(laws: list[ImpliedLawResult]) -> str:
    """Laws in the subjunctive, with values and intervals."""
    return joined([law.phrase for law in laws])


def bounds(interval: tuple[float, float] | None) -> str:
    """Ends of an interval with as many decimal places as tell them apart, at most four; "" for none."""
    if interval is None:
        return ""
    width = interval[1] - interval[0]
    places = next((places for places in (1, 2, 3) if width >= 2 * 10.0**-places), 4)
    return bracket(interval, places)
