"""Errors of pixels against recorded futures: PSNR, SSIM and a Fréchet distance, of kept rollouts and of saboteurs.

    python docs/figures/pixel_errors.py

writes pixel_errors.json beside this file: PSNR and SSIM of violations, and of pictures that break no law, beside what
physbench reads of the same videos. It takes two minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.linalg import sqrtm
from skimage.metrics import structural_similarity

from physbench.clips.clip import Clip, Row
from physbench.clips.store import clip_store
from physbench.clips.suite import find_suite
from physbench.result.manifest import read_manifest
from physbench.rollout.store import Rollout, load_rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.run_folder import RunFolder
from physbench.validity.sources import kind, show
from physbench.validity.violations import Inapplicable
from physbench.world.scene import RenderSpec

HERE = Path(__file__).parent
PIXEL_ERRORS = ("PSNR", "SSIM", "Fréchet distance")  # dB; 1 is alike; 0 is alike
MOMENTS, SIDE, COMPONENTS = 8, 16, 32  # frames of a video, px, and numbers that stand for it
LEAST_CLIPS = 3 * COMPONENTS
PEAK = 255.0
SABOTEURS = HERE / "pixel_errors.json"
SOURCES = (
    *("noise:8", "flicker:10", "blur:1", "fade:10"),  # break no law
    *("teleport:0.25", "kick:0.5", "gravity:0.9", "pass-through:1", "vanish:1", "hue:72", "freeze"),
)
CLIPS, FIRST_SEED, CONTEXT, SPEC = 2, 9000, 8, RenderSpec(64, 64, 15.0)  # clips of each task; no suite holds the seeds
READINGS = {"consistency": "consistency/shadowing", "permanence": "permanence/intact"}


def pixel_errors(run: Path) -> dict[str, float]:
    """Errors by name, means over clips, of the rollouts that a run has kept.

    The Fréchet distance is that of FVD (Unterthiner et al. 2018, arXiv 1812.01717), |m - n|^2 + tr(C + D - 2 (C D)^1/2)
    of means and covariances, of principal components of MOMENTS small pictures a video instead of a network's features.
    It falls with the number of clips: compare models on the same ones. Raises ValueError where a rollout is missing, or
    clips are too few for the covariances.
    """
    pairs, shown, recorded = [], [], []
    for clip, frames in _rollouts(run):
        future = clip.future()[: len(frames)]
        pairs.append(psnr_and_ssim(frames, future))
        shown.append(_small(frames))
        recorded.append(_small(future))
    if len(shown) < LEAST_CLIPS:
        raise ValueError(f"{run}: expected {LEAST_CLIPS} clips at least, got {len(shown)}.")
    found = *np.mean(pairs, axis=0).tolist(), frechet(np.stack(shown), np.stack(recorded))
    return dict(zip(PIXEL_ERRORS, found, strict=True))


def psnr_and_ssim(frames: np.ndarray, future: np.ndarray) -> tuple[float, float]:
    """PSNR in dB and SSIM of frames (T, H, W, 3) against the recorded ones, means over frames."""
    error = ((frames.astype(np.float64) - future) ** 2).mean(axis=(1, 2, 3))
    pairs = zip(frames, future, strict=True)
    similarity = [structural_similarity(a, b, channel_axis=-1) for a, b in pairs]
    snr = 10 * np.log10(PEAK**2 / np.maximum(error, 1 / 12))  # 1/12: of rounding
    return float(snr.mean()), float(np.mean(similarity))


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


def saboteurs() -> list[dict[str, str | int | float]]:
    """Rows of SOURCES, best PSNR first: source, whether it breaks a law, clips, pixel errors, qualities; means."""
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS.values()]
    found: dict[str, list[list[float]]] = {source: [] for source in SOURCES}
    for task in sorted({row.task for row in find_suite("core").rows}):
        for number in range(CLIPS):
            clip = clip_store().get(Row(task, "test", FIRST_SEED + number), SPEC)
            for source in SOURCES:
                try:
                    shown = show(clip, CONTEXT, source)
                except Inapplicable:
                    continue
                if shown.unseen:
                    continue
                rows, _ = score_clip(clip, Rollout(clip.id, 0, shown.frames), CONTEXT, scorers)
                quality = {row.reading: row.quality for row in rows}
                read = [quality[reading] for reading in READINGS.values()]
                numbers = [np.nan if value is None else value for value in read]
                found[source].append([*psnr_and_ssim(shown.frames, clip.future()[: len(shown.frames)]), *numbers])
    names = (*PIXEL_ERRORS[:2], *READINGS)
    made = [
        {"source": source, "lawful": kind(source) == "picture", "clips": len(rows)}
        | dict(zip(names, np.nanmean(rows, axis=0).round(3).tolist(), strict=True))
        for source, rows in found.items()
    ]
    return sorted(made, key=lambda row: -row["PSNR"])


if __name__ == "__main__":
    SABOTEURS.write_text(json.dumps(saboteurs(), indent=1) + "\n", encoding="utf-8")
