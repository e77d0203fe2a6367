"""Lawfulness over time: the share of the due objects that the laws explain at each moment, and how often they break.

A due object is one that should be visible. Values are pooled over the objects of some clips and over the tolerances.
The band is the 95 % interval over clips, by resampling them; fewer than 8 clips have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.results.bootstrap import BAND_RESAMPLES, FEWEST
from physbench.results.number_format import counted
from physbench.shadowing.tolerance_levels import HANDOVER_WINDOW
from physbench.shadowing.trace import Trace

Array = NDArray[np.float64]

MOST_TIMES = 64  # of a curve: enough for a chart
BINS = 8  # of the longest horizon, for breaks per second
MIN_LOST_TIME = 0.2  # s without lawful motion after which a due object counts as lost


@dataclass(frozen=True, eq=False)
class Share:
    """One source over some clips, at G times, and in BINS parts of the longest horizon."""

    explained: Array  # (G,) mean weight of the due objects, 0..1; NaN where none is due
    band: tuple[Array, Array] | None  # 95 % over clips
    breaks: Array  # (BINS,) per due object-second, mean of the tolerances; NaN where nothing is due


@dataclass(frozen=True, eq=False)
class GroupShares:
    """Explained share over time of the model and its references in one family or task."""

    name: str
    times: Array  # (G,) s from the hand-over
    shares: Mapping[str, Share]  # by source


@dataclass
class SharePool:
    """Collects clips one at a time."""

    name: str
    times: Array = field(default_factory=lambda: np.zeros(0))
    found: dict[str, list[_Clip]] = field(default_factory=dict)

    def add(self, traces: Mapping[str, Trace]) -> None:
        """Add the traces of one clip by source. A model without one explains nothing where ground truth has one."""
        truth = traces.get("truth")
        if truth is None:
            return
        ahead = truth.times > 1e-6
        if int(ahead.sum()) > len(self.times):
            self.times = truth.times[ahead].astype(np.float64)
        for source in dict.fromkeys(["model", *traces]):
            self.found.setdefault(source, []).append(_sums(traces.get(source), truth))

    def result(self, banded: Sequence[str] = ("model",)) -> GroupShares:
        """Pool all that was added, with bands for the sources in `banded`."""
        length = len(self.times)
        chosen = np.unique(np.round(np.linspace(0, length - 1, min(length, MOST_TIMES))).astype(int))
        shares = {source: self._share(sums, source in banded, chosen) for source, sums in self.found.items()}
        return GroupShares(self.name, self.times[chosen], shares)

    def _share(self, sums: Sequence[_Clip], banded: bool, chosen: NDArray[np.intp]) -> Share:
        length = len(self.times)
        weight, due = (
            np.stack([np.pad(part, (0, length - len(part))) for part in parts])[:, chosen]
            for parts in ([each.weight for each in sums], [each.due for each in sums])
        )
        edges = np.linspace(0, self.times[-1] + 1e-6, BINS + 1)  # the same for clips of other horizons
        breaks, seconds = (np.sum(part, axis=0) for part in zip(*(each.binned(edges) for each in sums), strict=True))
        band = None
        if banded and len(sums) >= FEWEST:
            rng = np.random.default_rng(0)
            drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=BAND_RESAMPLES).astype(
                np.float64
            )
            values = _ratio(drawn @ weight, drawn @ due)  # (BAND_RESAMPLES, G)
            band = _quantile(values, 0.025), _quantile(values, 0.975)
        return Share(_ratio(weight.sum(axis=0), due.sum(axis=0)), band, _ratio(breaks, seconds))


@dataclass(frozen=True, eq=False)
class _Clip:
    """One clip of one source."""

    times: Array  # (G,) s
    weight: Array  # (G,) of the due objects
    due: Array  # (G,) their number
    breaks: Array  # (B,) s
    tolerances: int  # their number

    def binned(self, edges: Array) -> tuple[Array, Array]:
        """Breaks and due object-seconds between edges, mean of the tolerances."""
        dt = float(self.times[1] - self.times[0]) if len(self.times) > 1 else 0.0
        return np.histogram(self.breaks, edges)[0] / self.tolerances, np.histogram(self.times, edges, weights=self.due)[
            0
        ] * dt


def _sums(found: Trace | None, truth: Trace) -> _Clip:
    trace = truth if found is None else found
    ahead = trace.times > 1e-6
    due = trace.due[ahead].sum(axis=1).astype(np.float64)
    weight = np.zeros_like(due) if found is None else np.nansum(found.explained[ahead], axis=1)
    times = trace.times[ahead].astype(np.float64)
    broken = np.zeros(0) if found is None else np.clip(found.time.astype(np.float64), 0.0, times[-1])
    return _Clip(times, weight, due, broken, len(trace.rungs))


def _ratio(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan))


def _quantile(values: Array, share: float) -> Array:
    """Quantile over the first axis, NaN left out, NaN where nothing is left."""
    known = np.isfinite(values).any(axis=0)
    found = np.full(values.shape[1], np.nan)
    found[known] = np.nanquantile(values[:, known], share, axis=0)
    return found


@dataclass
class BreakCount:
    """How many clips break, when first, and in how many an object is lost: of the model, beside ground truth."""

    tolerances: tuple[float, ...] = ()  # diameters
    clips: int = 0
    broken: dict[str, NDArray[np.intp]] = field(default_factory=dict)  # by source: clips that break at each tolerance
    first: list[float] = field(default_factory=list)  # s, at the smallest tolerance, of the model's clips that break
    lost: int = (
        0  # clips of the model in which a due object moves lawlessly for MIN_LOST_TIME, at the largest tolerance
    )

    def add(self, traces: Mapping[str, Trace]) -> None:
        """Add the traces of one clip, if ground truth has one. Without one of the model everything is lost."""
        truth, model = traces.get("truth"), traces.get("model")
        if truth is None:
            return
        self.clips += 1
        self.tolerances = tuple(round(float(value), 4) for value in truth.rungs)
        for source, found in (("model", model), ("truth", truth)):
            levels = range(len(self.tolerances))
            breaks = np.array([found is not None and bool((found.rung == r).any()) for r in levels], dtype=np.intp)
            self.broken[source] = self.broken.get(source, np.zeros_like(breaks)) + breaks
        if model is None:
            self.lost += 1
            return
        ahead, dt = model.times > 1e-6, float(model.times[1] - model.times[0])
        gone = model.due[ahead] & (model.weight[-1, ahead] == 0)
        self.lost += bool((gone.sum(axis=0) * dt >= MIN_LOST_TIME - 1e-6).any())
        strict = model.time[model.rung == 0]
        if len(strict):
            self.first.append(float(strict.min()))

    def sentences(self) -> list[str]:
        """The counts in words; nothing where no clip counts."""
        if not self.clips:
            return []
        model, truth = self.broken["model"], self.broken["truth"]
        lost = (
            f"In {self.lost} of {counted(self.clips, 'clip')} an object that should be seen is in no lawful motion, "
            f"or not there, for {MIN_LOST_TIME:g} s or more."
        )
        if not model.any():
            return [f"No clip of {self.clips} breaks at any tolerance.", *([lost] if self.lost else [])]
        parts = [f"{many} at {tolerance:g}" for many, tolerance in zip(model, self.tolerances, strict=True)]
        found = [
            f"Of {counted(self.clips, 'clip')}, {', '.join(parts[:-1])} and {parts[-1]} diameters break "
            f"(ground truth: {', '.join(str(many) for many in truth)})."
        ]
        if self.first:
            early = sum(1e-6 < time <= HANDOVER_WINDOW + 1e-6 for time in self.first)  # after the hand-over, not before
            at_once = f"; in {early} it is at the hand-over, within {HANDOVER_WINDOW:g} s of it" if early else ""
            found.append(
                f"At {self.tolerances[0]:g} the first break comes at {np.median(self.first):.1f} s (median of the "
                f"{len(self.first)} that break){at_once}."
            )
        return [*found, lost] if self.lost else found
