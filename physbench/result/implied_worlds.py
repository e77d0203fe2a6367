"""The diagnosis of a run: the document that `physbench diagnose` writes, and what it says in words."""

from __future__ import annotations

from physbench.result.document import ImpliedLawResult, ImpliedWorldResult, TimingResult
from physbench.result.formats import bracket, counted, joined
from physbench.result.manifest import renew
from physbench.support.errors import UsageError
from physbench.support.files import file_sha256, read_sealed_json, write_sealed_json
from physbench.support.plugins import first_line
from physbench.support.run_folder import RunFolder

_Implied = tuple[dict[str, ImpliedWorldResult], TimingResult | None]

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


def read_diagnosis(folder: RunFolder) -> dict[str, ImpliedWorldResult]:
    """Diagnosis by family; {} where there is none, or where the run has other scores since.

    Raises UsageError where the file is damaged.
    """
    return _read(folder)[0]


def read_timing(folder: RunFolder) -> TimingResult | None:
    """Diagnosis of the timing of frames, as `read_diagnosis`; None where nothing is wrong with it."""
    return _read(folder)[1]


def _read(folder: RunFolder) -> _Implied:
    try:
        return _implied_in(folder) or ({}, None)
    except OSError:
        return {}, None
    except NOT_A_DIAGNOSIS as error:
        again = f"Make it again: physbench diagnose {folder.path}"
        raise UsageError(f"{folder.diagnosis}: is damaged ({first_line(str(error))}). {again}") from error


def _implied_in(folder: RunFolder) -> _Implied | None:
    """Stored diagnosis; None where the run has other scores since. Raises OSError and NOT_A_DIAGNOSIS."""
    document = read_sealed_json(folder.diagnosis, required=False)
    if document["schema_version"] != 1 or document["scores"] != file_sha256(folder.scores):
        return None
    timing = document.get("timing")
    return (
        {str(family): ImpliedWorldResult.model_validate(world) for family, world in document["families"].items()},
        None if timing is None else TimingResult.model_validate(timing),
    )


def is_diagnosed(folder: RunFolder) -> bool:
    """True if a diagnosis stands beside the scores that the run has now."""
    try:
        return _implied_in(folder) is not None
    except (OSError, *NOT_A_DIAGNOSIS):
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
