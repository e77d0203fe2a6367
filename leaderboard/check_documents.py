"""Checks of documents: every aggregate of result.json from the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from physbench import __version__
from physbench.errors import UsageError
from physbench.leaderboard.check_tables import MODEL_SOURCE, Tables, own_scorers
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.verdicts import Verdict, failed, not_possible, passed
from physbench.results.build_result import build_result
from physbench.results.read_run import REFERENCE_MODELS
from physbench.results.schema import read_result
from physbench.storage.atomic_write import atomic_path, write_json
from physbench.storage.run_folder import RunFolder

MOST_RESULT = 64 << 20  # bytes; that of core has 1 MB
RESULT_ROUNDING = 2e-6  # results are rounded to 1e-6
# Words, which the board makes itself from checked figures, and the search for other laws, which it makes again.
OWN_WORDS = ("physbench_version", "sentences", "findings", "implied_worlds")


def write_checked(checked: RunFolder, claim: Claim, tables: Tables) -> None:
    """A run folder that holds nothing but what was checked: the manifest made again, and the tables."""
    write_json(checked.manifest, claim.document())
    for name in (MODEL_SOURCE, *REFERENCE_MODELS):
        place = checked if name == MODEL_SOURCE else checked.reference(name)
        with atomic_path(place.scores) as draft:
            tables[name].to_parquet(draft, index=False)


def check_aggregates(sent: RunFolder, checked: RunFolder, resamples: int) -> Verdict:
    """Whether result.json is what the rows make, from a folder of `write_checked`."""
    try:
        if sent.result.stat().st_size > MOST_RESULT:
            return failed("aggregates", f"result.json is larger than {MOST_RESULT >> 20} MB")
        said = read_result(sent.result).model_dump(mode="json")
    except FileNotFoundError:
        return not_possible("aggregates", "no result.json was sent; the board computes its own")
    except UsageError as error:
        return failed("aggregates", str(error).replace(f"{sent.path}/", ""))
    right = build_result(checked, resamples=resamples, own_laws=False)
    count, first = first_difference(_comparable(said), _comparable(right))
    if first:
        other = said["physbench_version"]
        hint = f" It was written by physbench {other}, this is {__version__}." if other != __version__ else ""
        return failed("aggregates", f"{first}{hint}")
    return passed("aggregates", f"{count} figures of result.json from the rows", figures=count)


def _comparable(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without words, and without readings of scorers that do not come with physbench."""
    kept = {name: value for name, value in result.items() if name not in OWN_WORDS}
    for part in ("readings", "unavailable"):
        kept[part] = {name: value for name, value in result[part].items() if name.partition(".")[0] in own_scorers()}
    return kept


def first_difference(said: Any, right: Any, place: str = "") -> tuple[int, str]:
    """Number of values that were compared, and where two documents first differ, in words; "" where they agree."""
    if isinstance(said, dict) and isinstance(right, dict):
        for name in right:
            if name not in said:
                return 0, f"{place}{name} is missing"
        extra = next((name for name in said if name not in right), None)
        if extra is not None:
            return 0, f"{place}{extra} should not be there"
        parts = [(said[name], right[name], f"{place}{name}.") for name in right]
    elif isinstance(said, list) and isinstance(right, list):
        if len(said) != len(right):
            return 0, f"{place.rstrip('.')}: {len(said)} values were sent, and {len(right)} are right"
        parts = [(a, b, f"{place}{number}.") for number, (a, b) in enumerate(zip(said, right, strict=True))]
    else:
        same = said == right and type(said) is type(right)
        numbers = [isinstance(each, int | float) and not isinstance(each, bool) for each in (said, right)]
        if all(numbers):
            same = math.isclose(said, right, rel_tol=1e-9, abs_tol=RESULT_ROUNDING)
        sent, wanted = (repr(str(each)[:120]) for each in (said, right))
        return 1, "" if same else f"{place.rstrip('.')}: {sent} was sent, and {wanted} is right"
    count = 0
    for a, b, where in parts:
        more, found = first_difference(a, b, where)
        count += more
        if found:
            return count, found
    return count, ""
