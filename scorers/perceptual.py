"""Perceptual distance to ground truth."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.image_stats import SAMPLED_FRAMES
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks

LEAST_SIDE = 64  # px that AlexNet needs
TRUNK = "alexnet-owt-7be5be79.pth"  # of torchvision; the name holds the first digits of its sha256


@scorer(
    id="appearance/lpips",
    version=1,
    axis=None,
    unit="1",
    better="lower",
    quality=None,
    noise_floor="0 exactly: ground truth is compared with itself",
    source="arXiv:1801.03924",
    needs=("frames",),
    packages=("lpips",),
)
def lpips(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading:
    """LPIPS (AlexNet, version 0.1) between prediction and ground truth, mean over 16 frames.

    0 upwards, lower is better.

    Unavailable where the package or the published weights of its trunk are missing: it is never computed on a random
    trunk, and nothing is downloaded. Outside every mean.
    """
    missing = why_unavailable()
    if missing:
        return Reading(None, "unavailable", missing)
    if min(clip.spec.height, clip.spec.width) < LEAST_SIDE:
        return Reading(None, "unavailable", f"frames are smaller than {LEAST_SIDE} px")
    truth = clip.future()[: len(rollout.frames)]
    if not len(truth):
        return Reading(None, "not applicable", "no frame was predicted")
    import torch

    chosen = np.unique(np.linspace(0, len(truth) - 1, SAMPLED_FRAMES).round().astype(int))
    pair = [torch.from_numpy(f[chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1 for f in (rollout.frames, truth)]
    with torch.inference_mode():
        return Reading(float(_network()(*pair).mean()))


@cache
def why_unavailable() -> str:
    """Why LPIPS cannot be computed here, or ""."""
    if find_spec("lpips") is None:
        return "not installed (pip install 'physbench[lpips]')"
    trunk = trunk_file()
    if not trunk.is_file():
        return f"weights: {TRUNK} is not in torch's hub folder"
    digest = hashlib.sha256(trunk.read_bytes()).hexdigest()
    if not digest.startswith(TRUNK.rsplit("-", 1)[1].split(".")[0]):
        return f"weights: {TRUNK} is damaged"
    return ""


def trunk_file() -> Path:
    """Where torchvision keeps the weights that LPIPS stands on."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / TRUNK


@cache
def _network() -> Any:
    import lpips as package

    return package.LPIPS(net="alex", verbose=False).eval()
