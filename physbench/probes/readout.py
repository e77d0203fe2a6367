"""Linear read-outs: ridge regression whose strength is chosen, and whose errors are measured, on other clips.

Ridge regression on standardised features X (n, D) with a free constant for each task, in its dual form, as D may exceed
n: with the kernel K = X X' / D of features centred within tasks, coefficients (K + alpha s I)^-1 y, s the mean
eigenvalue of K (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634). Folds are of whole clips: no moment of a
clip that is read was fitted on, neither for the coefficients nor for alpha, which is that of the least squared error
where each of the fitted clips is left out in turn. With the hat matrix H that error is (I - H_gg)^-1 (y - H y)_g for
the moments g of a clip, without a new fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array

Indices = NDArray[np.int64]

FOLDS = 5
ALPHAS = 10.0 ** np.arange(-3.0, 6.0)  # of the mean eigenvalue
LEAST_SPREAD = 1e-6  # of a feature; one that varies less is left at 0
ROWS_AT_ONCE = 2048
TINY = 1e-9  # added to the diagonal of I - H


def kernels(features: NDArray[np.float32], queries: Indices, rows: Indices) -> Array:
    """Inner products (m, n) of asked rows of features (R, D) with others, by whose mean and spread both are scaled."""
    fitted = features[rows]
    mean, spread = fitted.mean(0, dtype=np.float64), fitted.std(0, dtype=np.float64)
    spread = np.where(spread > LEAST_SPREAD * np.maximum(1.0, np.abs(mean)), spread, np.inf)
    shift, scale = mean.astype(np.float32), (spread * np.sqrt(features.shape[1])).astype(np.float32)
    fitted = (fitted - shift) / scale
    products = np.empty((len(queries), len(rows)))
    for start in range(0, len(queries), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
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
        left_out = np.linalg.solve((1 + TINY) * np.eye(len(at)) - hat, residuals[:, at])
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
    fold = folds_of(problem.clips[rows], FOLDS)
    for each in np.unique(fold):
        train = rows[fold != each]
        held = np.isin(clips, problem.clips[rows[fold == each]])
        if len(train):
            predicted[held] = fit(problem, train).predict(queries[held], tasks[held])
    return predicted
