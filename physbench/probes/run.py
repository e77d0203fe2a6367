"""Probes a model: encodes the clips of a suite, fits read-outs by clip, reads them and sets them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from physbench import __version__
from physbench.clips.clip import Clip
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.load_model import load_encoder, model_sha256
from physbench.probes import document
from physbench.probes.encode import (
    BODY,
    QUANTITIES,
    Features,
    Latents,
    Quantity,
    Samples,
    implied_force,
    looks_ahead,
    moments_of,
    sampled,
    two_frames,
)
from physbench.result.bootstrap import FEWEST, TOO_FEW, Resampled, resample
from physbench.result.skill import Stratum
from physbench.rollout.device import find_device, find_dtype
from physbench.rollout.in_process import evaluation_mode
from physbench.support.arrays import Array
from physbench.support.errors import ModelError, UsageError
from physbench.support.progress import Progress

Indices = NDArray[np.int64]

# Ridge regression on standardised features X (n, D) with a free constant for each task, in its dual form, as D may
# exceed n: with the kernel K = X X' / D of features centred within tasks, coefficients (K + alpha s I)^-1 y, s the mean
# eigenvalue of K (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634). Folds are of whole clips: no moment of a
# clip that is read was fitted on, neither for the coefficients nor for alpha, which is that of the least squared error
# where each of the fitted clips is left out in turn. With the hat matrix H that error is (I - H_gg)^-1 (y - H y)_g for
# the moments g of a clip, without a new fit.

ALPHAS = 10.0 ** np.arange(-3.0, 6.0)  # of the mean eigenvalue


def kernels(features: NDArray[np.float32], queries: Indices, rows: Indices) -> Array:
    """Inner products (m, n) of asked rows of features (R, D) with others, by whose mean and spread both are scaled."""
    fitted = features[rows]
    mean, spread = fitted.mean(0, dtype=np.float64), fitted.std(0, dtype=np.float64)
    # a feature that varies less is left at 0
    spread = np.where(spread > 1e-6 * np.maximum(1.0, np.abs(mean)), spread, np.inf)
    shift, scale = mean.astype(np.float32), (spread * np.sqrt(features.shape[1])).astype(np.float32)
    fitted = (fitted - shift) / scale
    products = np.empty((len(queries), len(rows)))
    rows_at_once = 2048
    for start in range(0, len(queries), rows_at_once):
        part = slice(start, start + rows_at_once)
        products[part] = ((features[queries[part]] - shift) / scale) @ fitted.T
    return products


@dataclass(frozen=True, eq=False)
class ReadOut:
    """A fitted read-out: predictions are kernel (m, n) @ weights (n, A) + the constant (A,) of the task."""

    rows: Indices  # (n,) that it was fitted on, as columns of the kernel
    weights: Array
    constants: Mapping[int, Array]

    def predict(self, kernel: Array, tasks: Indices) -> Array:
        """Values (m, A) of rows of a kernel (m, N) in tasks (m,); NaN in a task that it was not fitted on."""
        unknown = np.full(self.weights.shape[1], np.nan)
        constants = np.array([self.constants.get(task, unknown) for task in tasks.tolist()])
        return np.asarray(self.without_constants(kernel) + constants.reshape(len(kernel), len(unknown)))

    def without_constants(self, kernel: Array) -> Array:
        """The same (m, A) up to a constant of the task."""
        return np.asarray(kernel[:, self.rows] @ self.weights)


@dataclass(frozen=True, eq=False)
class Problem:
    """Data that read-outs are fitted to. N moments."""

    kernel: Array  # (N, N)
    values: Array  # (N, A)
    clips: Indices  # (N,)
    tasks: Indices  # (N,) the task of a clip


def folds_of(clips: Indices, count: int) -> Indices:
    """The fold (n,) of each row: whole clips in turn, so that each task is spread over all folds."""
    _, number = np.unique(clips, return_inverse=True)
    return np.asarray(number % count)


def fit(problem: Problem, rows: Indices) -> ReadOut:
    """Fit a read-out to some rows (n,), with an alpha for each axis."""
    inner, targets = problem.kernel[np.ix_(rows, rows)], problem.values[rows]
    clips, tasks = problem.clips[rows], problem.tasks[rows]
    same = (tasks[:, None] == tasks).astype(np.float64)
    mean = same / same.sum(1, keepdims=True)  # (n, n): of a row's task
    half = inner - mean @ inner
    centred = half - half @ mean
    eigenvalues, vectors = np.linalg.eigh((centred + centred.T) / 2)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    strength = np.maximum(ALPHAS * eigenvalues.mean(), 1e-300)[:, None]
    shrunk = eigenvalues / (eigenvalues + strength)  # (S, n)
    away = targets - mean @ targets
    along = vectors.T @ away  # (n, A)
    residuals = away - vectors @ (shrunk[:, :, None] * along)  # (S, n, A)
    errors = np.zeros((len(ALPHAS), targets.shape[1]))
    for clip in np.unique(clips):
        at = np.flatnonzero(clips == clip)
        if len(np.unique(clips[tasks == tasks[at[0]]])) < 2:
            continue  # no other clip tells the constant of its task
        hat = (vectors[at] * shrunk[:, None]) @ vectors[at].T + mean[np.ix_(at, at)]  # (S, m, m)
        # 1e-9 is added to the diagonal of I - H
        left_out = np.linalg.solve((1 + 1e-9) * np.eye(len(at)) - hat, residuals[:, at])
        errors += (left_out**2).sum(1)
    best = errors.argmin(0)
    weights = vectors @ (along / (eigenvalues[:, None] + strength[best, 0]))
    constants = mean @ (targets - inner @ weights)
    return ReadOut(rows, weights, {int(task): constants[at] for at, task in enumerate(tasks.tolist())})


def cross_validated(problem: Problem, rows: Indices, queries: Array, clips: Indices, tasks: Indices) -> Array:
    """Predictions (M, A) of asked rows by read-outs that were fitted on other clips; NaN for clips without a value.

    Args:
        problem: What is fitted to.
        rows: Of it, to fit on.
        queries: (M, N) kernel of what is read with its moments.
        clips, tasks: (M,) of what is asked for.
    """
    predicted = np.full((len(queries), problem.values.shape[1]), np.nan)
    fold = folds_of(problem.clips[rows], 5)
    for each in np.unique(fold):
        train = rows[fold != each]
        held = np.isin(clips, problem.clips[rows[fold == each]])
        if len(train):
            predicted[held] = fit(problem, train).predict(queries[held], tasks[held])
    return predicted


RESAMPLES = 2000
Mask = NDArray[np.bool_]
Predicted = dict[tuple[str, str], Array]  # by quantity and slot: (R, A), NaN where nothing was predicted


def probe_model(
    target: str,
    *,
    suite: str = "core",
    limit: int | None = None,
    tasks: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    model_args: Mapping[str, str] | None = None,
    trust_code: bool = False,
    workers: int = 2,
) -> document.ProbeDocument:
    """Probe a model.

    Read-outs are fitted on, and cross-validated on, the split `test`, which no model was trained on, and read `ood`
    beside it; on the suite `train` on `train`.

    Raises:
        ModelError: The model has no encoder, or its latents cannot be read.
        UsageError: There is no such suite, or nothing varies in it.
    """
    chosen = find_suite(suite, limit, tasks)
    where, kind = find_device(device), find_dtype(dtype)
    encoder = load_encoder(target, device=where, dtype=kind, model_args=model_args, trust_code=trust_code)
    card = encoder.card
    spec = render_spec(card.image_size, card.fps, card.look, card.view)
    notes: list[str] = []
    ask = Latents(encoder, target)
    encoders: dict[str, Callable[[NDArray[np.uint8]], Tensor]] = {document.MODEL: ask}
    try:
        fresh = load_encoder(
            target, device=where, dtype=kind, model_args=model_args, trust_code=trust_code, untrained_beside=encoder
        )
        encoders[document.UNTRAINED] = Latents(fresh, f"{target}, untrained")
    except ModelError as problem:
        notes.append(f"No untrained copy stands beside it: {problem}")
    encoders[document.PIXELS] = two_frames
    store = ClipStore()
    store.ensure(chosen.rows, spec, workers)

    def clip(index: int) -> Clip:
        return store.get(chosen.rows[index], spec)

    first = clip(0)
    with ExitStack() as modes:
        for each in encoders.values():
            if isinstance(each, Latents):
                modes.enter_context(evaluation_mode(each.encoder))
        latents = ask(first.frames[None])[0]
        if looks_ahead(ask, first.frames):
            notes.append("Its latents of a moment depend on later frames: what is read of it may have been seen later.")
        samples, features = sampled(clip, chosen.rows, encoders)
    step = float(np.diff(first.times[moments_of(len(first.times), len(latents))]).mean())
    fitted = "test" if any(row.split == "test" for row in chosen.rows) else chosen.rows[0].split
    readings, forces, left_out = read_all(samples, features, fitted, step)
    if not readings:
        raise UsageError(
            f"No quantity varies over {FEWEST} clips of a family of {chosen.label} here. Give a larger --limit."
        )
    return document.ProbeDocument(
        schema_version=1,
        physbench_version=__version__,
        model=target,
        sha256=model_sha256(target),
        suite=chosen.label + (f", {len(chosen.rows)} clips" if chosen.partial or limit else ""),
        render_spec=str(spec),
        fitted_split=fitted,
        moments_per_second=round(1 / step, 6),
        features={name: each.shape[1] for name, each in features.items()},
        latents=" x ".join(map(str, latents.shape[1:])),
        readings=readings,
        forces=forces,
        left_out=left_out,
        notes=notes,
    )


def read_all(
    samples: Samples, features: Mapping[str, Features], fitted: str, step: float
) -> tuple[list[document.ProbeReading], list[document.ForceReading], list[document.LeftOut]]:
    """Fit read-outs to each family's clips and read them there, on the other split and on the other families.

    Args:
        samples: Moments of clips.
        features: (R, F) by what is read; MODEL among them.
        fitted: Split that is fitted on.
        step: Time between moments, s.
    """
    varied = {quantity.name: _varied(samples, quantity, fitted) for quantity in QUANTITIES}
    nothing = np.zeros((len(samples.clip), 1), dtype=np.float32)  # of which only the means of tasks can be read
    means: dict[str, Predicted] = {}
    predicted: dict[str, dict[str, Predicted]] = {}
    with Progress("fit read-outs", len(samples.families) * (1 + len(features))) as progress:
        for family in samples.families:
            means[family], predicted[family] = _predictions(samples, nothing, family, fitted, varied), {}
            progress.advance()
            for name, each in features.items():
                predicted[family][name] = _predictions(samples, each, family, fitted, varied)
                progress.advance()
    readings: list[document.ProbeReading] = []
    splits = sorted({row.split for row in samples.rows}, key=lambda split: (split != fitted, split))
    for split in splits:
        for family in samples.families:
            for fitted_on in samples.families if split == fitted else (family,):
                for quantity in QUANTITIES:
                    if fitted_on == family or quantity.name in BODY:
                        reading = _reading(
                            samples, means[fitted_on], predicted[fitted_on], quantity, varied, fitted_on, family, split
                        )
                        readings += [reading] if reading else []
    return readings, list(_forces(samples, predicted, fitted, step)), list(_left_out(samples, varied, fitted))


def _varied(samples: Samples, quantity: Quantity, split: str) -> set[str]:
    """Tasks in which a quantity is there and varies."""
    tasks = np.array([row.task if row.split == split else "" for row in samples.rows])[samples.clip]
    varied = set()
    varies = 1e-6  # of its size; a quantity that varies less in a task is a constant of it
    for task in sorted({row.task for row in samples.rows}):
        chosen = samples.read & (tasks == task)
        values = [each[chosen] for (name, _), each in samples.targets.items() if name == quantity.name]
        if values and np.isfinite(whole := np.concatenate(values)).any():
            spread, size = np.nanstd(whole, axis=0), np.nanmax(np.abs(whole))
            if (spread > varies * max(size, varies)).any():
                varied.add(task)
    return varied


def _in_tasks(samples: Samples, tasks: set[str]) -> Mask:
    """Mask (R,) of the moments of some tasks."""
    return np.asarray(np.array([row.task in tasks for row in samples.rows], dtype=bool)[samples.clip])


def _predictions(
    samples: Samples, features: Features, family: str, split: str, varied: Mapping[str, set[str]]
) -> Predicted:
    """Predictions of a family's read-outs: of its own clips of the split by others of them, of all else by all of them.

    Quantities with the same moments share one fit. What is read in another family has the constants of its tasks from
    their clips of the split: a read-out is asked for what varies in a task.
    """
    own = samples.of(family, split)
    queries, rows = np.flatnonzero(samples.read | own), np.flatnonzero(samples.read & own)
    if not len(rows):
        return {}
    kernel = kernels(features, queries, rows)
    within, inside = np.isin(queries, rows), own[queries]
    names = {task: number for number, task in enumerate(sorted({row.task for row in samples.rows}))}
    task = np.array([names[row.task] for row in samples.rows])[samples.clip]
    shared: dict[bytes, list[tuple[str, str]]] = {}
    for key, values in samples.targets.items():
        valid = np.isfinite(values[rows]).all(1) & _in_tasks(samples, varied[key[0]])[rows]
        if len(np.unique(samples.clip[rows][valid])) >= FEWEST:
            shared.setdefault(key[1].encode() + valid.tobytes(), []).append(key)
    predictions: Predicted = {}
    for keys in shared.values():
        values = np.concatenate([samples.targets[key] for key in keys], 1)
        known = np.asarray(np.isfinite(values).all(1))
        chosen = np.flatnonzero(known[rows] & _in_tasks(samples, varied[keys[0][0]])[rows])
        problem = Problem(kernel[within], np.nan_to_num(values[rows]), samples.clip[rows], task[rows])
        whole = np.full(values.shape, np.nan)
        mine, others = queries[inside], queries[~inside]
        whole[mine] = cross_validated(problem, chosen, kernel[inside], samples.clip[mine], task[mine])
        readout = fit(problem, chosen)
        whole[others] = readout.predict(kernel[~inside], task[others])
        free = readout.without_constants(kernel[~inside])
        for number in set(np.unique(task[others]).tolist()) - set(readout.constants):
            at = task[others] == number
            with_truth = (
                at & known[others] & np.array([row.split == split for row in samples.rows])[samples.clip[others]]
            )
            if with_truth.any():
                whole[others[at]] = free[at] + (values[others[with_truth]] - free[with_truth]).mean(0)
        ends = np.cumsum([samples.targets[key].shape[1] for key in keys])
        predictions |= dict(zip(keys, np.split(whole, ends[:-1], axis=1), strict=True))
    return predictions


def _reading(
    samples: Samples,
    means: Predicted,
    predicted: Mapping[str, Predicted],
    quantity: Quantity,
    varied: Mapping[str, set[str]],
    fitted_on: str,
    family: str,
    split: str,
) -> document.ProbeReading | None:
    """Scores of all that was read, on the same moments; None where there is nothing to read."""
    tasks = np.array([row.task for row in samples.rows])[samples.clip]
    chosen = samples.read & samples.of(family, split) & _in_tasks(samples, varied[quantity.name])
    parts: list[tuple[NDArray[np.int64], list[Array]]] = []  # moments; values, means, and what each name reads there
    for key, values in samples.targets.items():
        guesses = [each.get(key) for each in (means, *predicted.values())]
        if key[0] != quantity.name or any(guess is None for guess in guesses):
            continue
        good = chosen & np.isfinite(values).all(1)
        known = [guess for guess in guesses if guess is not None]
        for guess in known:
            good &= np.isfinite(guess).all(1)
        at = np.flatnonzero(good)
        parts.append((at, [each[at] for each in (values, *known)]))
    if not parts or not sum(len(at) for at, _ in parts):
        return None
    at = np.concatenate([part[0] for part in parts])
    values, *read = (np.concatenate(each) for each in zip(*(part[1] for part in parts), strict=True))
    clip, count = samples.clip[at], len(samples.rows)
    squares = [((values - each) ** 2).sum(1) for each in read]
    sums = np.stack([np.bincount(clip, each, count) for each in squares])  # (1 + E, clips)
    whole = max(float(sums[0].sum()), 1e-300)
    points = 1 - sums[1:].sum(1) / whole  # (E,)
    # Of a ratio of two sums, linearised: few clips would let a resampled variance come near 0.
    effects = (1 - points[:, None]) * sums[0] / whole - sums[1:] / whole  # (E, clips)
    strata: dict[Stratum, Array] = {}
    for task in np.unique(tasks[at]):
        strata[Stratum(str(task), split)] = effects[:, np.unique(clip[tasks[at] == task])]
    drawn = resample(strata, resamples=RESAMPLES)
    enough = sum(drawn.sizes) >= FEWEST
    r2 = {name: points[i] + _totals(drawn, i) for i, name in enumerate(predicted)}

    def interval(statistic: Array, minus: Array | None = None) -> tuple[float, float] | None:
        if not enough:
            return None
        low, high = drawn.interval(statistic, minus)
        return float(low), float(high) if minus is not None else min(float(high), 1.0)

    errors = dict(zip(predicted, (float(np.sqrt(each.mean() / values.shape[1])) for each in squares[1:]), strict=True))
    return document.ProbeReading(
        quantity=quantity.name,
        unit=quantity.unit,
        fitted_on=fitted_on,
        family=family,
        split=split,
        tasks=[stratum.task for stratum in strata],
        clips=sum(drawn.sizes),
        moments=len(at),
        scores={
            name: document.Score(r2=float(each[0]), interval=interval(each), error=errors[name])
            for name, each in r2.items()
        },
        gains={
            name: document.Gain(r2=float(r2[document.MODEL][0] - each[0]), interval=interval(r2[document.MODEL], each))
            for name, each in r2.items()
            if name != document.MODEL
        },
    )


def _totals(drawn: Resampled[Stratum], row: int) -> Array:
    """Sums (L,) over the clips of all strata in every draw."""
    return np.asarray(sum(n * means[:, row] for n, means in zip(drawn.sizes, drawn.means.values(), strict=True)))


def _forces(
    samples: Samples, predicted: Mapping[str, Mapping[str, Predicted]], split: str, step: float
) -> Iterator[document.ForceReading]:
    """Implied laws of force by task, of true positions and of those read off each encoder."""
    moments = {index: np.flatnonzero(samples.clip == index) for index in {pull.clip for pull in samples.pulls}}

    def path(places: Mapping[tuple[str, str], Array], clip: int, slot: str) -> Array:
        at = moments[clip]
        return places["position", slot][at] if ("position", slot) in places else np.full((len(at), 2), np.nan)

    for task in sorted({samples.rows[pull.clip].task for pull in samples.pulls}):
        pulls = [
            pull
            for pull in samples.pulls
            if samples.rows[pull.clip].task == task and samples.rows[pull.clip].split == split
        ]
        if not pulls:
            continue
        for name, places in {document.TRUTH: samples.targets, **predicted[task.split("/")[0]]}.items():
            force = implied_force(pulls, partial(path, places), step)
            yield document.ForceReading(
                task=task,
                read=name,
                exponent=force.exponent,
                interval=force.interval,
                share=force.share,
                clips=force.clips,
                reason=force.reason,
            )


def _left_out(samples: Samples, varied: Mapping[str, set[str]], split: str) -> Iterator[document.LeftOut]:
    """Quantities and tasks in which they are not read, with the reason."""
    tasks = sorted({row.task for row in samples.rows})
    for quantity in QUANTITIES:
        constant = [task for task in tasks if task not in varied[quantity.name]]
        if constant:
            names = "all tasks" if len(constant) == len(tasks) else ", ".join(task.split("/")[1] for task in constant)
            reason = "nothing is hidden" if quantity.name.startswith("hidden") else "it does not vary"
            yield document.LeftOut(quantity=quantity.name, where=names, reason=reason)
        for family in samples.families:
            own = samples.of(family, split) & samples.read & _in_tasks(samples, varied[quantity.name])
            slots = [each for (name, _), each in samples.targets.items() if name == quantity.name]
            many = [len(np.unique(samples.clip[own & np.isfinite(each).all(1)])) for each in slots]
            if 0 < max(many, default=0) < FEWEST:
                yield document.LeftOut(quantity=quantity.name, where=family, reason=TOO_FEW)
