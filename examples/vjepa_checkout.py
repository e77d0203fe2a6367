"""V-JEPA 2, 2.1 and 2-AC in the files of facebookresearch/vjepa2: surprise, and latents for probes.

    git clone https://github.com/facebookresearch/vjepa2
    physbench eval examples/vjepa_checkout.py:make --suite expectation --limit 60 \\
        --model-arg checkout=vjepa2 --model-arg weights=vitl.pt
    physbench probe examples/vjepa_checkout.py:make --model-arg checkout=vjepa2 --model-arg weights=vitl.pt

For 2-AC add --model-arg arch=vit_giant_xformers --model-arg actions=true. It is told that its robot does nothing. For
2.1 add --model-arg version=2.1 --model-arg side=384, and the arch of the file: vit_giant_xformers,
vit_gigantic_xformers, or vit_base and vit_large, which were distilled from the last one and foresee its latents: they
are for probes alone.
The code of the checkout is imported. Weights are read without running any: {"encoder": ..., "predictor": ...}.
"""

import importlib
import sys
from dataclasses import replace

import torch
from torch import nn
from torch.nn.functional import layer_norm

from physbench import SurpriseCard

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as in its training
TUBELET, PATCH = 2, 16  # frames and px of a token
WINDOW, HIDDEN = 16, 4  # frames that are encoded together, and of them those that are foreseen
PAST = 8  # frames from which 2-AC foresees the next one
DISTILLED = ("vit_base", "vit_large")  # of 2.1
NO_ACTION = 7  # zeros: no change of the pose of the robot's hand, and its pose


class Foreseen(nn.Module):
    """V-JEPA 2: L1 between what its predictor expects of hidden frames and what its encoder makes of them."""

    def __init__(self, encoder, predictor, side, fps):
        super().__init__()
        self.encoder, self.predictor, self.grid = encoder, predictor, side // PATCH
        self.card = self.describe(side, fps)

    def describe(self, side, fps):
        sees = (WINDOW - HIDDEN) / fps
        return SurpriseCard("vjepa2", (side, side), fps, WINDOW - 1, unit="L1 between layer-normed latents", sees=sees)

    def pictures(self, video):  # (B, T, 3, H, W) in [0, 1] -> (B, 3, T, H, W)
        mean, std = (video.new_tensor(levels)[:, None, None] for levels in (MEAN, STD))
        return ((video - mean) / std).movedim(2, 1)

    def surprise(self, video, *, context, actions, prompts, generators):
        out = video.new_zeros(video.shape[:2])
        for end in range(WINDOW, video.shape[1] + 1, TUBELET):
            frames = self.pictures(video[:, end - WINDOW : end])
            shown, whole = self.encoder(frames[:, :, :-HIDDEN]), self.encoder(frames)  # (B, N, D)
            tokens = torch.arange(whole.shape[1], device=video.device).expand(len(video), -1)
            seen, unseen = tokens[:, : shown.shape[1]], tokens[:, shown.shape[1] :]
            error = self.foreseen(shown, seen, unseen) - self.normed(whole[:, shown.shape[1] :])
            out[:, end - 1 : end - 1 + TUBELET] = error.abs().mean((1, 2))[:, None]
        return out

    def foreseen(self, shown, seen, unseen):  # latents (B, N, D) of tokens, numbers of these and of others (B, M)
        return self.predictor(shown, [seen], [unseen])

    def normed(self, latents):
        return layer_norm(latents, latents.shape[-1:])

    @torch.no_grad()
    def encode(self, frames):  # (B, T, H, W, 3) uint8 -> (B, T // 2, D, h, w): the last tokens of each window
        weights = next(self.parameters())
        video = self.pictures(frames.to(weights).movedim(-1, 2) / 255)
        ends = range(video.shape[2] % TUBELET + TUBELET, video.shape[2] + 1, TUBELET)
        return torch.stack([self.last_tokens(video[:, :, max(end - WINDOW, end % TUBELET) : end]) for end in ends], 1)

    def last_tokens(self, video):
        tokens = self.encoder(video)[:, -(self.grid**2) :]  # (B, h w, D)
        return tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))


class Levels(Foreseen):
    """V-JEPA 2.1: the same of several layers of its encoder, one after the other in a token, each layer-normed."""

    def __init__(self, encoder, predictor, side, fps):
        super().__init__(encoder, predictor, side, fps)
        encoder.return_hierarchical = predictor is not None

    def describe(self, side, fps):
        return replace(super().describe(side, fps), name="vjepa2.1")

    def surprise(self, video, **given):
        if self.predictor is None:
            raise ValueError("It foresees the latents of its teacher, which its file does not hold: for probes alone.")
        return super().surprise(video, **given)

    def foreseen(self, shown, seen, unseen):
        return self.predictor(shown, [seen], [unseen])[0]

    def normed(self, latents):
        return super().normed(latents.unflatten(-1, (-1, self.encoder.embed_dim))).flatten(-2)

    def last_tokens(self, video):
        return super().last_tokens(video)[:, -self.encoder.embed_dim :]  # those of the last layer


class ActionConditioned(Foreseen):
    """V-JEPA 2-AC: L1 between the latents of a frame and those that its predictor expects after the frames before."""

    def describe(self, side, fps):
        unit = "L1 between layer-normed latents"
        return SurpriseCard("vjepa2-ac", (side, side), fps, PAST, unit=unit, sees=PAST / fps)

    def latents(self, video):  # (B, 3, T, H, W) -> (B, T, h w, D); each frame is shown twice, as in its training
        frames = video.movedim(2, 1).flatten(0, 1)[:, :, None].expand(-1, -1, TUBELET, -1, -1)
        latents = self.encoder(frames)
        return layer_norm(latents, latents.shape[-1:]).unflatten(0, (len(video), -1))

    def surprise(self, video, *, context, actions, prompts, generators):
        latents = self.latents(self.pictures(video))
        out = video.new_zeros(video.shape[:2])
        for now in range(1, video.shape[1]):
            past = latents[:, max(0, now - PAST) : now]
            still = past.new_zeros(*past.shape[:2], NO_ACTION)
            expected = self.predictor(past.flatten(1, 2), still, still)[:, -(self.grid**2) :]
            error = layer_norm(expected, expected.shape[-1:]) - latents[:, now]
            out[:, now] = error.abs().mean((1, 2))
        return out

    def last_tokens(self, video):
        last = self.latents(video[:, :, -1:])[:, 0]
        return last.transpose(1, 2).unflatten(2, (self.grid, self.grid))


def make(
    *,
    device,
    dtype,
    checkout,
    weights,
    arch="vit_large",
    version="2",
    actions: bool = False,
    side: int = 256,
    fps: int = 8,
):
    sys.path.insert(0, checkout)
    newer = str(version) == "2.1"
    code = "app.vjepa_2_1.models" if newer else "src.models"
    encoders = importlib.import_module(f"{code}.vision_transformer")
    predictors = importlib.import_module(f"{code}.{'ac_predictor' if actions else 'predictor'}")
    shape = {"img_size": (side, side), "patch_size": PATCH, "num_frames": 64, "tubelet_size": TUBELET}
    options = {"use_rope": True, "uniform_power": False}
    images = {"img_temporal_dim_size": 1} if newer else {}
    turned = {"interpolate_rope": True} if newer else {}
    encoder = getattr(encoders, arch)(
        **shape, **options, **images, **turned, use_sdpa=True, use_SiLU=False, wide_SiLU=True
    )
    distilled = newer and arch in DISTILLED
    if distilled:
        predictor = None
    elif actions:
        predictor = predictors.vit_ac_predictor(**shape, embed_dim=encoder.embed_dim)
    else:
        levels = {"n_output_distillation": 4, "return_all_tokens": True} if newer else {}
        predictor = predictors.vit_predictor(
            **shape,
            **options,
            **images,
            **levels,
            embed_dim=encoder.embed_dim,
            predictor_embed_dim=384,
            depth=24 if newer else 12,
            num_heads=12,
            use_mask_tokens=True,
            num_mask_tokens=8 if newer else 10,
            use_sdpa=True,
        )
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    of_encoder = ("ema_encoder" if distilled else "target_encoder") if newer else "encoder"
    for name, network in ((of_encoder, encoder), ("predictor", predictor)):
        if network is not None:
            tensors = {key.replace("module.", "").replace("backbone.", ""): w for key, w in saved[name].items()}
            load(network, tensors, name)
    kind = ActionConditioned if actions else Levels if newer else Foreseen
    return kind(encoder, predictor, side, fps).to(device, dtype).eval().requires_grad_(False)


def load(network, tensors, name):
    """Nothing may stay random: positions that rotary ones replace are the only tensors that a file may have besides."""
    report = network.load_state_dict(tensors, strict=False)
    besides = [key for key in report.unexpected_keys if "pos_embed" not in key]
    if report.missing_keys or besides:
        wrong = (report.missing_keys + besides)[0]
        raise ValueError(f"the {name} of this file is of another network: {wrong}. Is arch that of the file?")
