"""Slot states: what the motion is learned from and what a rollout starts from. Pixels only, no labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from physbench.reference.segmentation import Segmenter, background, opponent
from physbench.reference.surfaces import outline

LEAST = 6.0  # px of mass in the context below which a slot is empty
SURFACE_CONTRAST = 0.03  # grey


@dataclass(frozen=True)
class Slots:
    """B clips of T frames with at most N objects; K colours."""

    centre: Tensor  # (B, T, N, 2) px, 0 where not seen
    weight: Tensor  # (B, T, N) 0..1, how far the centre can be trusted
    radius: Tensor  # (B, N) px
    present: Tensor  # (B, N) 0 or 1
    slot: Tensor  # (B, N) index of the colour
    push: Tensor  # (B, T, N, 3) N s, given before the frame
    picture: Tensor  # (B, 3, H, W) the background
    points: Tensor  # (B, P, 5) see surfaces.outline
    frames: Tensor  # (B,) how many of the T frames there are

    def take(self, index: Tensor) -> Slots:
        """Some of the clips."""
        return Slots(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def read_slots(segmenter: Segmenter, frames: Tensor, context: int, actions: Tensor | None = None) -> Slots:
    """Frames (B, T, 3, H, W) 0..1, the first `context` of them given; actions (B, at least T, 6) or None -> slots.

    An object's size is that of its unhidden frames in the context. Weights fall where less of it is seen than that.
    """
    batch, count = frames.shape[:2]
    mass, centre = segmenter.look(frames.flatten(0, 1))
    mass, centre = mass.view(batch, count, -1), centre.view(batch, count, -1, 2)
    picture = background(frames[:, :context])
    grey = picture.mean(1).cpu().numpy()
    points = torch.stack([torch.from_numpy(outline(one, SURFACE_CONTRAST)) for one in grey]).to(frames.device)
    largest = mass[:, :context].amax(1)  # (B, K)
    present = largest > LEAST
    most = max(1, int(present.sum(1).max()))
    slot = largest.argsort(dim=1, descending=True, stable=True)[:, :most]
    largest, present = largest.gather(1, slot), present.gather(1, slot).to(mass.dtype)
    mass = mass.gather(2, slot[:, None].expand(-1, count, -1))
    centre = centre.gather(2, slot[:, None, :, None].expand(-1, count, -1, 2))
    share = mass / largest.clamp_min(1)[:, None]
    known = ~centre.isnan().any(-1)
    weight = ((share - 0.88) / 0.08).clamp(0, 1) * (share < 1.1) * known * present[:, None]
    whole = ((share > 0.93) & known).to(mass.dtype)[:, :context]
    area = (mass[:, :context] * whole).sum(1) / whole.sum(1).clamp_min(1)
    push = torch.zeros(batch, count, most, 3, device=frames.device)
    if actions is not None:
        push = route(actions[:, :count].to(push.dtype), segmenter.colours, slot)
    return Slots(
        centre=centre.nan_to_num(0.0),
        weight=weight,
        radius=(area / math.pi).sqrt(),
        present=present,
        slot=slot,
        push=push,
        picture=picture,
        points=points,
        frames=torch.full((batch,), count, device=frames.device),
    )


def route(actions: Tensor, colours: Tensor, slot: Tensor) -> Tensor:
    """Actions (B, T, 6), hue as RGB and impulse -> the impulse for the slot of that hue (B, T, N, 3)."""
    hue = functional.normalize(opponent(actions[..., :3]), dim=-1)
    own = functional.normalize(opponent(colours), dim=-1)[slot]  # (B, N, 2)
    closeness = torch.einsum("btc,bnc->btn", hue, own)
    return (closeness > 0.9).to(actions.dtype)[..., None] * actions[:, :, None, 3:]


def join(parts: list[Slots]) -> Slots:
    """Slots of several reads as one, padded to the longest and fullest of them."""
    frames = max(part.centre.shape[1] for part in parts)
    count = max(part.centre.shape[2] for part in parts)

    def pad(name: str, value: Tensor, part: Slots) -> Tensor:
        t, n = frames - part.centre.shape[1], count - part.centre.shape[2]
        if name in ("centre", "push"):
            return functional.pad(value, (0, 0, 0, n, 0, t))
        if name == "weight":
            return functional.pad(value, (0, n, 0, t))
        return functional.pad(value, (0, n)) if name in ("radius", "present", "slot") else value

    return Slots(**{f.name: torch.cat([pad(f.name, getattr(p, f.name), p) for p in parts]) for f in fields(Slots)})
