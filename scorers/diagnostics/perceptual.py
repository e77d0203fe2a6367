"""Perceptual distance to ground truth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Reading, scorer
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import add_file, atomic_path, cache_dir
from physbench.support.progress import Progress
from physbench.track.colour import SAMPLED_FRAMES
from physbench.track.tracks import Tracks

TRUNK = "alexnet-owt-7be5be79.pth"  # of torchvision; the name holds the first digits of its sha256
TRUNK_URL = f"https://download.pytorch.org/models/{TRUNK}"  # 244 MB
FETCH = "physbench scorers fetch lpips"
SLICES = {"slice1": (0,), "slice2": (3,), "slice3": (6,), "slice4": (8,), "slice5": (10,)}  # convolutions of AlexNet


@scorer(
    id="appearance/lpips",
    better="lower",
    noise_floor="0 exactly: ground truth is compared with itself",
    source="arXiv:1801.03924",
    needs=("frames",),
    packages=("lpips",),
)
def lpips(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading:
    """LPIPS (AlexNet, version 0.1) between prediction and ground truth, mean over 16 frames.

    0 upwards, lower is better.

    Unavailable where the package or the published weights of its trunk are missing: it is never computed on a random
    trunk, and no run downloads anything: `physbench scorers fetch lpips` does, once. Outside every mean.
    """
    missing = why_unavailable()
    if missing:
        return Reading(None, "unavailable", missing)
    least_side = 64  # px that AlexNet needs
    if min(clip.spec.height, clip.spec.width) < least_side:
        return Reading(None, "unavailable", f"frames are smaller than {least_side} px")
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
    """Reason that LPIPS is unavailable here, or ""."""
    if find_spec("lpips") is None:
        return "not installed (pip install 'physbench[lpips]')"
    trunk = trunk_file()
    if not trunk.is_file():
        return f"weights: {TRUNK} is not here ({FETCH})"
    return "" if is_trunk(trunk) else f"weights: {TRUNK} is damaged ({FETCH})"


def is_trunk(path: Path) -> bool:
    """True if a file holds the published weights, by the digits of its hash that torchvision's name of it holds."""
    digest = hashlib.sha256()
    add_file(digest, path)
    return digest.hexdigest().startswith(TRUNK.rsplit("-", 1)[1].split(".")[0])


def kept_trunk() -> Path:
    """File in which `physbench scorers fetch` keeps the weights."""
    return cache_dir() / "weights" / TRUNK


def trunk_file() -> Path:
    """The weights that LPIPS stands on: those in the cache, or else where torchvision keeps them."""
    import torch

    kept = kept_trunk()
    return kept if kept.is_file() else Path(torch.hub.get_dir()) / "checkpoints" / TRUNK


def fetch_trunk(source: Path | None = None) -> Path:
    """Bring torchvision's weights into the cache, from a file or from where they are published, and return the place.

    Nothing is fetched where they are there. Raises UsageError where the file holds other weights, and PhysbenchError
    where they cannot be fetched.
    """
    target = kept_trunk()
    from urllib.request import urlopen

    if source is None and target.is_file() and is_trunk(target):
        return target
    if source is not None and not source.is_file():
        raise UsageError(f"{source}: there is no such file. Expected torchvision's {TRUNK}, from {TRUNK_URL}")
    with atomic_path(target) as draft:
        try:
            opened: Any = urlopen(TRUNK_URL, timeout=60) if source is None else source.open("rb")
            with opened as read:
                total = int(read.headers.get("Content-Length") or 0) if source is None else source.stat().st_size
                with draft.open("wb") as write, Progress(f"fetching {TRUNK}, MB", total >> 20) as progress:
                    while block := read.read(1 << 20):
                        write.write(block)
                        progress.advance()
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", None) or error
            raise PhysbenchError(
                f"{TRUNK_URL} cannot be fetched ({reason}). "
                f"Bring the file here by other means, then: {FETCH} --from FILE"
            ) from error
        if not is_trunk(draft):
            raise UsageError(
                f"{source or TRUNK_URL}: is not torchvision's {TRUNK}, or is damaged: its SHA-256 begins with other "
                "digits than its name says."
            )
    why_unavailable.cache_clear()
    return target


@cache
def _network() -> Any:
    """LPIPS on the published trunk: its own layers come with the package, those of AlexNet from the weights."""
    import lpips as package
    import torch

    network = package.LPIPS(net="alex", pnet_rand=True, verbose=False)  # else it would look for a download
    published = torch.load(trunk_file(), map_location="cpu", weights_only=True)
    network.net.load_state_dict(trunk_layers(published))
    return network.eval()


def trunk_layers(published: Mapping[str, Any]) -> dict[str, Any]:
    """The convolutions of torchvision's AlexNet by their names in LPIPS: "features.3.bias" is "slice2.3.bias"."""
    return {
        f"{name}.{layer}.{kind}": published[f"features.{layer}.{kind}"]
        for name, layers in SLICES.items()
        for layer in layers
        for kind in ("weight", "bias")
    }
