"""The slots of clips: what the motion is learned from and what a rollout starts from. Pixels only, no labels."""

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
from physbench.reference.shapes import REACH_DIRECTIONS, reach_and_roundness, rim_shading
from physbench.reference.surfaces import FAR, outline

MIN_FULL_PIXELS = 6  # in a context frame; with fewer, a slot is empty
FULL_SHARE = 0.7  # of a pixel; from this on it counts as full
PURE_HUE_COSINE = 0.95  # to the hue of a slot; where two objects touch, mixed pixels have a third hue
HIDDEN_MARGIN = 2  # frames around one in which an object is partly hidden
UNSEEN_SHARE = 0.02  # of an object; below this it counts as unseen
SURFACE_CONTRAST = 0.03  # grey

OccluderMap = Callable[[Tensor], Tensor]  # (B, 3, H, W) -> (B, H, W), see Painter.opacity


@dataclass(frozen=True)
class Slots:
    """B clips of T frames with at most N objects; K colours."""

    centre: Tensor  # (B, T, N, 2) px, 0 where not seen
    weight: Tensor  # (B, T, N) 0..1, how far the centre can be trusted
    unseen: Tensor  # (B, T, N) 0 or 1; nothing of it is visible
    radius: Tensor  # (B, N) px, of a disc of the same area
    reach: Tensor  # (B, N, REACH_DIRECTIONS) px, see shapes.directional_reach
    round: Tensor  # (B, N) 0 or 1
    shade: Tensor  # (B, N) see shapes.rim_shading
    present: Tensor  # (B, N) 0 or 1
    slot: Tensor  # (B, N) index of the colour
    push: Tensor  # (B, T, N, 3) N s, given before the frame
    background: Tensor  # (B, 3, H, W)
    surface_points: Tensor  # (B, P, 6) see surfaces.outline
    hiding_distance: Tensor  # (B, H, W) px to the nearest pixel where an object would not be visible
    frames: Tensor  # (B,) number of the T frames that exist

    def select(self, index: Tensor) -> Slots:
        """Some of the clips."""
        return Slots(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def first_objects(self, count: int) -> Slots:
        """The first `count` objects of each clip. The others must not be present."""
        axes = {"centre": 2, "weight": 2, "unseen": 2, "push": 2} | dict.fromkeys(
            ("radius", "reach", "round", "shade", "present", "slot"), 1
        )
        whole = {field.name: getattr(self, field.name) for field in fields(self)}
        return Slots(**whole | {name: whole[name].narrow(axis, 0, count) for name, axis in axes.items()})

    def surely_seen(self) -> Slots:
        """The same, with weight 0 in frames within HIDDEN_MARGIN of one in which an object is partly hidden.

        The centre of its visible part lags behind there, as if the occluder slowed it down.
        """
        least = -functional.max_pool1d(
            -self.weight.transpose(1, 2), 2 * HIDDEN_MARGIN + 1, stride=1, padding=HIDDEN_MARGIN
        )
        return replace(self, weight=least.transpose(1, 2))

    def mirrored(self) -> Slots:
        """The same with left and right exchanged, which no law distinguishes."""
        width = self.background.shape[-1]
        other = self.surface_points * self.surface_points.new_tensor([-1, 1, -1, 1, 1, 1])
        other[..., 0] = torch.where(
            self.surface_points[..., 0] > FAR / 2, self.surface_points[..., 0], width - self.surface_points[..., 0]
        )
        turned = (REACH_DIRECTIONS // 2 - torch.arange(REACH_DIRECTIONS, device=self.reach.device)) % REACH_DIRECTIONS
        changed = {
            "centre": torch.stack([width - self.centre[..., 0], self.centre[..., 1]], -1),
            "reach": self.reach[..., turned],
            "push": self.push * self.push.new_tensor([-1, 1, 1]),
            "background": self.background.flip(-1),
            "surface_points": other,
            "hiding_distance": self.hiding_distance.flip(-1),
        }
        return Slots(**{field.name: changed.get(field.name, getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True)
class Appearance:
    """What drawing needs besides the slots."""

    masks: Tensor  # (B, N, H, W) share of each pixel that is the object's
    frame: Tensor  # (B, N) of the masks
    screen: MovingScreen


def read_slots(
    segmenter: Segmenter,
    frames: Tensor,
    context: int,
    actions: Tensor | None = None,
    occluders: OccluderMap | None = None,
) -> tuple[Slots, Appearance]:
    """Read the slots of clips.

    Size and shape of an object are those of the context frames that show it whole. Its weight falls in frames in which
    less of it is visible.

    Args:
        segmenter: The learned segmentation.
        frames: (B, T, 3, H, W) 0..1.
        context: Number of frames that the model is given; later ones are for training.
        actions: (B, at least T, 6), or None.
        occluders: Gives the opacity of the background; surfaces are continued behind it. None: nothing is hidden.
    """
    batch, count = frames.shape[:2]
    full = segmenter.maps(frames[:, :context].flatten(0, 1), pure=PURE_HUE_COSINE) > FULL_SHARE
    present = full.sum((1, 2)).view(batch, -1, full.shape[-1]).amax(1) >= MIN_FULL_PIXELS  # (B, K)
    maps = segmenter.maps(frames.flatten(0, 1), present.repeat_interleave(count, 0))
    mass, centre = mass_and_centres(maps)
    mass, centre = mass.view(batch, count, -1), centre.view(batch, count, -1, 2)
    background, screen = estimate_background(frames[:, :context])
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
    # The appearance is that of the last frame that shows all of an object.
    order = weight[:, :context] + torch.arange(context, device=frames.device)[:, None] / (10 * context)
    best_frame = torch.where(weight[:, :context] > 0.9, order, share[:, :context] / 10).argmax(1)  # (B, N)
    row = torch.arange(batch, device=frames.device)[:, None]
    masks = maps.view(batch, count, *maps.shape[1:])[row, best_frame, :, :, slot]  # (B, N, H, W)
    middle = centre[row, best_frame, torch.arange(most, device=frames.device)]
    reach, is_round = reach_and_roundness(masks, middle, radius)
    push = torch.zeros(batch, count, most, 3, device=frames.device)
    if actions is not None:
        push = pushes_by_object(actions[:, :count].to(push.dtype), segmenter.colours, slot)
    hidden = None if occluders is None else occluders(background)
    slots = Slots(
        centre=centre,
        weight=weight,
        unseen=(share < UNSEEN_SHARE) * present[:, None],
        radius=radius,
        reach=reach,
        round=is_round,
        shade=rim_shading(frames.amax(2)[row, best_frame], masks, middle, radius),
        present=present,
        slot=slot,
        push=push,
        background=background,
        surface_points=surface_points(background, hidden),
        hiding_distance=distance_to_hiding(background, hidden, screen),
        frames=torch.full((batch,), count, device=frames.device),
    )
    return slots, Appearance(masks, best_frame, screen)


def surface_points(background: Tensor, hidden: Tensor | None) -> Tensor:
    """Surface points (B, P, 6) of backgrounds (B, 3, H, W), parts of which are `hidden` (B, H, W) by occluders."""
    grey = background.mean(1).cpu().numpy()
    masks = [None] * len(grey) if hidden is None else list(hidden.detach().cpu().numpy() > 0.5)
    points = [torch.from_numpy(outline(one, SURFACE_CONTRAST, mask)) for one, mask in zip(grey, masks, strict=True)]
    return torch.stack(points).to(background.device)


def distance_to_hiding(background: Tensor, hidden: Tensor | None, screen: MovingScreen) -> Tensor:
    """Distance (B, H, W) in px from occluders and from the border; 0 everywhere in clips with a moving screen."""
    batch, _, height, width = background.shape
    found = np.zeros((batch, height, width), np.float32)
    for k, cover in enumerate(screen.cover.amax((1, 2)).tolist()):
        if cover == 0:
            seen = np.ones((height + 2, width + 2), bool)
            seen[[0, -1]] = seen[:, [0, -1]] = False
            if hidden is not None:
                seen[1:-1, 1:-1] = hidden[k].detach().cpu().numpy() < 0.5
            found[k] = distance_transform_edt(seen)[1:-1, 1:-1]
    return torch.from_numpy(found).to(background.device)


def pushes_by_object(actions: Tensor, colours: Tensor, slot: Tensor) -> Tensor:
    """Actions (B, T, 6), hue as RGB and impulse -> the impulse for the slot of that hue (B, T, N, 3)."""
    hue = functional.normalize(opponent_colours(actions[..., :3]), dim=-1)
    slot_hue = functional.normalize(opponent_colours(colours), dim=-1)[slot]  # (B, N, 2)
    closeness = torch.einsum("btc,bnc->btn", hue, slot_hue)
    return (closeness > 0.9).to(actions.dtype)[..., None] * actions[:, :, None, 3:]


def concatenate(parts: list[Slots]) -> Slots:
    """Concatenate slots along the batch, padded to the most frames and objects."""
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
