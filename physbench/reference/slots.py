"""Slot states: what the motion is learned from and what a rollout starts from. Pixels only, no labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

from physbench.reference.backdrop import MovingScreen, estimate_background
from physbench.reference.segmentation import Segmenter, mass_and_centres, opponent_colours
from physbench.reference.shapes import DIRECTIONS, reach_and_roundness, rim_shading
from physbench.reference.surfaces import FAR, outline

MIN_FULL_PIXELS = 6  # full pixels in a context frame below which a slot is empty
FULL_SHARE = 0.7  # share of a pixel from which on it counts as one
PURE_HUE_COSINE = 0.95  # cosine to a hue; where two objects touch, pixels have a third one
HIDDEN_MARGIN = 2  # frames
UNSEEN_SHARE = 0.02  # share of an object below which it counts as unseen
SURFACE_CONTRAST = 0.03  # grey

OccluderMap = Callable[[Tensor], Tensor]  # (B, 3, H, W) -> (B, H, W), see Painter.curtain


@dataclass(frozen=True)
class Slots:
    """B clips of T frames with at most N objects; K colours."""

    centre: Tensor  # (B, T, N, 2) px, 0 where not seen
    weight: Tensor  # (B, T, N) 0..1, how far the centre can be trusted
    unseen: Tensor  # (B, T, N) 0 or 1; nothing of it is to be seen
    radius: Tensor  # (B, N) px, of a disc of the same area
    reach: Tensor  # (B, N, DIRECTIONS) px, see shapes.reaches
    round: Tensor  # (B, N) 0 or 1
    shade: Tensor  # (B, N) see shapes.shade_of
    present: Tensor  # (B, N) 0 or 1
    slot: Tensor  # (B, N) index of the colour
    push: Tensor  # (B, T, N, 3) N s, given before the frame
    picture: Tensor  # (B, 3, H, W) the background
    points: Tensor  # (B, P, 6) see surfaces.outline
    clear: Tensor  # (B, H, W) px to the nearest place where an object would not be seen
    frames: Tensor  # (B,) how many of the T frames there are

    def take(self, index: Tensor) -> Slots:
        """Some of the clips."""
        return Slots(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def narrow(self, count: int) -> Slots:
        """The first `count` objects of each clip: the others are not present."""
        axes = {"centre": 2, "weight": 2, "unseen": 2, "push": 2} | dict.fromkeys(
            ("radius", "reach", "round", "shade", "present", "slot"), 1
        )
        whole = {field.name: getattr(self, field.name) for field in fields(self)}
        return Slots(**whole | {name: whole[name].narrow(axis, 0, count) for name, axis in axes.items()})

    def surely_seen(self) -> Slots:
        """The same with no trust in frames within BESIDE of one in which an object is not wholly seen.

        The centre of what is seen of it stays behind a little there: as if it were slowed down by what hides it.
        """
        least = -functional.max_pool1d(
            -self.weight.transpose(1, 2), 2 * HIDDEN_MARGIN + 1, stride=1, padding=HIDDEN_MARGIN
        )
        return replace(self, weight=least.transpose(1, 2))

    def mirrored(self) -> Slots:
        """The same with left and right exchanged: no law tells them apart."""
        width = self.picture.shape[-1]
        other = self.points * self.points.new_tensor([-1, 1, -1, 1, 1, 1])
        other[..., 0] = torch.where(self.points[..., 0] > FAR / 2, self.points[..., 0], width - self.points[..., 0])
        turned = (DIRECTIONS // 2 - torch.arange(DIRECTIONS, device=self.reach.device)) % DIRECTIONS
        changed = {
            "centre": torch.stack([width - self.centre[..., 0], self.centre[..., 1]], -1),
            "reach": self.reach[..., turned],
            "push": self.push * self.push.new_tensor([-1, 1, 1]),
            "picture": self.picture.flip(-1),
            "points": other,
            "clear": self.clear.flip(-1),
        }
        return Slots(**{field.name: changed.get(field.name, getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True)
class Appearance:
    """What slots leave out and drawing needs."""

    masks: Tensor  # (B, N, H, W) share of each pixel that is the object's
    when: Tensor  # (B, N) the frame in which that was seen
    plate: MovingScreen


def read_slots(
    segmenter: Segmenter,
    frames: Tensor,
    context: int,
    actions: Tensor | None = None,
    curtain: OccluderMap | None = None,
) -> tuple[Slots, Appearance]:
    """Frames (B, T, 3, H, W) 0..1, the first `context` of them given; actions (B, at least T, 6) or None -> slots.

    An object's size and shape are those of its unhidden frames in the context. Weights fall where less of it is seen
    than that. curtain: what hides; surfaces are taken to go on behind it.
    """
    batch, count = frames.shape[:2]
    full = segmenter.maps(frames[:, :context].flatten(0, 1), pure=PURE_HUE_COSINE) > FULL_SHARE
    present = full.sum((1, 2)).view(batch, -1, full.shape[-1]).amax(1) >= MIN_FULL_PIXELS  # (B, K)
    maps = segmenter.maps(frames.flatten(0, 1), present.repeat_interleave(count, 0))
    mass, centre = mass_and_centres(maps)
    mass, centre = mass.view(batch, count, -1), centre.view(batch, count, -1, 2)
    picture, plate = estimate_background(frames[:, :context])
    largest = mass[:, :context].amax(1)  # (B, K)
    most = max(1, int(present.sum(1).max()))
    slot = largest.argsort(dim=1, descending=True, stable=True)[:, :most]
    largest, present = largest.gather(1, slot), present.gather(1, slot).to(mass.dtype)
    mass = mass.gather(2, slot[:, None].expand(-1, count, -1))
    centre = centre.gather(2, slot[:, None, :, None].expand(-1, count, -1, 2))
    known = ~centre.isnan().any(-1)
    whole = ((mass > 0.93 * largest[:, None]) & known).to(mass.dtype)[:, :context]
    area = (mass[:, :context] * whole).sum(1) / whole.sum(1).clamp_min(1)
    share = mass / area.clamp_min(1)[:, None]
    weight = ((share - 0.94) / 0.025).clamp(0, 1) * (share < 1.1) * known * present[:, None]
    centre = centre.nan_to_num(0.0)
    radius = (area / math.pi).sqrt()
    # The last frame in which all of an object is seen shows what it looks like.
    order = weight[:, :context] + torch.arange(context, device=frames.device)[:, None] / (10 * context)
    when = torch.where(weight[:, :context] > 0.9, order, share[:, :context] / 10).argmax(1)  # (B, N)
    row = torch.arange(batch, device=frames.device)[:, None]
    masks = maps.view(batch, count, *maps.shape[1:])[row, when, :, :, slot]  # (B, N, H, W)
    middle = centre[row, when, torch.arange(most, device=frames.device)]
    reach, is_round = reach_and_roundness(masks, middle, radius)
    push = torch.zeros(batch, count, most, 3, device=frames.device)
    if actions is not None:
        push = pushes_by_object(actions[:, :count].to(push.dtype), segmenter.colours, slot)
    hidden = None if curtain is None else curtain(picture)
    slots = Slots(
        centre=centre,
        weight=weight,
        unseen=(share < UNSEEN_SHARE) * present[:, None],
        radius=radius,
        reach=reach,
        round=is_round,
        shade=rim_shading(frames.amax(2)[row, when], masks, middle, radius),
        present=present,
        slot=slot,
        push=push,
        picture=picture,
        points=surface_points(picture, hidden),
        clear=distance_to_hiding(picture, hidden, plate),
        frames=torch.full((batch,), count, device=frames.device),
    )
    return slots, Appearance(masks, when, plate)


def surface_points(picture: Tensor, hidden: Tensor | None) -> Tensor:
    """Surface points (B, P, 6) of backgrounds (B, 3, H, W) of which `hidden` (B, H, W) is behind something."""
    grey = picture.mean(1).cpu().numpy()
    masks = [None] * len(grey) if hidden is None else list(hidden.detach().cpu().numpy() > 0.5)
    points = [torch.from_numpy(outline(one, SURFACE_CONTRAST, mask)) for one, mask in zip(grey, masks, strict=True)]
    return torch.stack(points).to(picture.device)


def distance_to_hiding(picture: Tensor, hidden: Tensor | None, plate: MovingScreen) -> Tensor:
    """How far (B, H, W) px each pixel is from what hides and from the border; 0 everywhere where a plate moves."""
    batch, _, height, width = picture.shape
    found = np.zeros((batch, height, width), np.float32)
    for k, there in enumerate(plate.cover.amax((1, 2)).tolist()):
        if there == 0:
            seen = np.ones((height + 2, width + 2), bool)
            seen[[0, -1]] = seen[:, [0, -1]] = False
            if hidden is not None:
                seen[1:-1, 1:-1] = hidden[k].detach().cpu().numpy() < 0.5
            found[k] = distance_transform_edt(seen)[1:-1, 1:-1]
    return torch.from_numpy(found).to(picture.device)


def pushes_by_object(actions: Tensor, colours: Tensor, slot: Tensor) -> Tensor:
    """Actions (B, T, 6), hue as RGB and impulse -> the impulse for the slot of that hue (B, T, N, 3)."""
    hue = functional.normalize(opponent_colours(actions[..., :3]), dim=-1)
    own = functional.normalize(opponent_colours(colours), dim=-1)[slot]  # (B, N, 2)
    closeness = torch.einsum("btc,bnc->btn", hue, own)
    return (closeness > 0.9).to(actions.dtype)[..., None] * actions[:, :, None, 3:]


def concatenate(parts: list[Slots]) -> Slots:
    """Slots of several reads as one, padded to the longest and fullest of them."""
    frames = max(part.centre.shape[1] for part in parts)
    count = max(part.centre.shape[2] for part in parts)

    def pad(name: str, value: Tensor, part: Slots) -> Tensor:
        t, n = frames - part.centre.shape[1], count - part.centre.shape[2]
        if name in ("centre", "push"):
            return functional.pad(value, (0, 0, 0, n, 0, t))
        if name in ("weight", "unseen"):
            return functional.pad(value, (0, n, 0, t))
        if name == "reach":
            return functional.pad(value, (0, 0, 0, n))
        return functional.pad(value, (0, n)) if name in ("radius", "round", "present", "slot", "shade") else value

    return Slots(**{f.name: torch.cat([pad(f.name, getattr(p, f.name), p) for p in parts]) for f in fields(Slots)})
