"""Errors of pixels of kept rollouts against recorded futures: PSNR, SSIM and a Fréchet distance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.linalg import sqrtm
from skimage.metrics import structural_similarity

from physbench.clips.clip import Clip
from physbench.clips.store import clip_store
from physbench.result.manifest import read_manifest
from physbench.rollout.store import load_rollout
from physbench.support.run_folder import RunFolder

PIXEL_ERRORS = ("PSNR", "SSIM", "Fréchet distance")  # dB; 1 is alike; 0 is alike
MOMENTS, SIDE, COMPONENTS = 8, 16, 32  # frames of a video, px, and numbers that stand for it
LEAST_CLIPS = 3 * COMPONENTS
PEAK = 255.0


def pixel_errors(run: Path) -> dict[str, float]:
    """Errors by name, means over clips, of the rollouts that a run has kept.

    The Fréchet distance is that of FVD (Unterthiner et al. 2018, arXiv 1812.01717), |m - n|^2 + tr(C + D - 2 (C D)^1/2)
    of means and covariances, of principal components of MOMENTS small pictures a video instead of a network's features.
    It falls with the number of clips: compare models on the same ones. Raises ValueError where a rollout is missing, or
    clips are too few for the covariances.
    """
    snr, similarity, shown, recorded = [], [], [], []
    for clip, frames in _rollouts(run):
        future = clip.future()[: len(frames)]
        error = ((frames.astype(np.float64) - future) ** 2).mean(axis=(1, 2, 3))
        snr.append(float((10 * np.log10(PEAK**2 / np.maximum(error, 1 / 12))).mean()))  # 1/12: of rounding
        pairs = zip(frames, future, strict=True)
        similarity.append(float(np.mean([structural_similarity(a, b, channel_axis=-1) for a, b in pairs])))
        shown.append(_small(frames))
        recorded.append(_small(future))
    if len(shown) < LEAST_CLIPS:
        raise ValueError(f"{run}: expected {LEAST_CLIPS} clips at least, got {len(shown)}.")
    found = float(np.mean(snr)), float(np.mean(similarity)), frechet(np.stack(shown), np.stack(recorded))
    return dict(zip(PIXEL_ERRORS, found, strict=True))


def _rollouts(run: Path) -> Iterator[tuple[Clip, np.ndarray]]:
    """Clips of a run with the predicted frames (T, H, W, 3) of sample 0."""
    folder = RunFolder(run)
    manifest = read_manifest(folder)
    for row in manifest.rows:
        rollout = load_rollout(folder, row.id, 0)
        if rollout is None or not len(rollout.frames):
            raise ValueError(f"{run}: holds no rollout of {row.id}. Run it with --keep-rollouts all.")
        yield clip_store().get(row, manifest.spec), rollout.frames


def _small(frames: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) as (MOMENTS x SIDE x SIDE x 3,) levels from 0 to 1."""
    chosen = frames[np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)].astype(np.float64)
    count, high, wide, channels = chosen.shape
    part = chosen[:, : high // SIDE * SIDE, : wide // SIDE * SIDE]
    return part.reshape(count, SIDE, high // SIDE, SIDE, wide // SIDE, channels).mean(axis=(2, 4)).ravel() / PEAK


def frechet(shown: np.ndarray, recorded: np.ndarray, components: int = COMPONENTS) -> float:
    """Fréchet distance of two sets (n, D), as Gaussians in principal components of the second one."""
    middle = recorded.mean(axis=0)
    axes = np.linalg.svd(recorded - middle, full_matrices=False)[2][:components].T
    a, b = (shown - middle) @ axes, (recorded - middle) @ axes
    one, other = (np.atleast_2d(np.cov(each.T)) for each in (a, b))
    apart = float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum())
    return max(0.0, apart + float(np.trace(one + other) - 2 * np.trace(sqrtm(one @ other)).real))
