"""Surprise of networks that foresee hidden frames: V-JEPA 2 in latents, VideoMAE in pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from physbench.models.huggingface.diffusers_load import NAMED_TENSORS, forbid_network
from physbench.models.networks import take_weights
from physbench.models.safetensors_files import prefix_words
from physbench.support.errors import ModelError, PhysbenchError
from physbench.support.plugins import describe_error

if TYPE_CHECKING:
    from physbench.models.huggingface.transformers_adapter import WindowPlan


class WindowSurprise:
    """Asks a network window by window. The surprise of a window stands at its last frame, and until the next window.

    Nothing in a window lies behind its last frame, so that no surprise depends on later frames.
    """

    def __init__(self, plan: WindowPlan, network: torch.nn.Module) -> None:
        self.card = plan.card
        self.assumptions = plan.sentences
        self.plan = plan
        self.network = network

    def surprise(self, video: Tensor, **given: object) -> Tensor:
        """Surprise (B, T) at the frames (B, T, 3, H, W) in [0, 1]; 0 before the first whole window."""
        plan = self.plan
        out = video.new_zeros(video.shape[:2])
        with torch.no_grad():
            for end in range(plan.window, video.shape[1] + 1, plan.tubelet):
                errors = self.at_window(video[:, end - plan.window : end])
                out[:, end - 1 : end - 1 + plan.tubelet] = errors[:, None]
        return out

    def redraw(self) -> None:
        """Forget what was learned."""
        network: Any = self.network
        take_weights(self.network, type(network)(network.config), self.card.name)

    def normalised(self, video: Tensor) -> Tensor:
        """Pictures as the network was trained on them."""
        mean, std = (video.new_tensor(values)[:, None, None] for values in (self.plan.mean, self.plan.std))
        return (video - mean) / std

    def at_window(self, video: Tensor) -> Tensor:
        """Surprise (B,) at the hidden frames of a window (B, W, 3, H, W)."""
        raise NotImplementedError


class LatentSurprise(WindowSurprise):
    """V-JEPA 2: L1 between what its predictor expects of the hidden frames and what its encoder makes of them.

    The window is encoded twice, once without the hidden frames: encoded together, attention shows them to the others.
    Targets are layer-normed, as in training (Assran et al. 2025, https://arxiv.org/abs/2506.09985).
    """

    def at_window(self, video: Tensor) -> Tensor:
        network: Any = self.network
        frames = self.normalised(video)
        shown = network.encoder(frames[:, : -self.plan.hidden]).last_hidden_state  # (B, N, D)
        whole = network.encoder(frames).last_hidden_state  # (B, N + M, D)
        tokens = torch.arange(whole.shape[1], device=video.device).expand(len(video), -1)
        known = shown.shape[1]
        expected: Tensor = network.predictor(
            encoder_hidden_states=shown, context_mask=[tokens[:, :known]], target_mask=[tokens[:, known:]]
        ).last_hidden_state
        target = layer_norm(whole[:, known:], whole.shape[-1:])
        return (expected - target).abs().mean(dim=(1, 2))

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents (B, T', D, h, w) of frames (B, T, H, W, 3) uint8, for probes: the last tokens of the encoder in the
        window that ends there. No moment depends on later frames; before the first whole window it is shorter.
        """
        network: Any = self.network
        tubelet, side = self.plan.tubelet, self.plan.card.image_size[0] // network.config.patch_size
        weights = next(self.network.parameters())
        video = self.normalised(frames.to(weights.device).movedim(-1, 2).to(weights.dtype) / 255)
        latents = []
        for end in range(frames.shape[1] % tubelet + tubelet, frames.shape[1] + 1, tubelet):
            begin = max(end - self.plan.window, frames.shape[1] % tubelet)
            tokens: Tensor = network.encoder(video[:, begin:end]).last_hidden_state  # (B, N, D)
            last = tokens[:, -side * side :].transpose(1, 2)
            latents.append(last.reshape(*last.shape[:2], side, side))
        return torch.stack(latents, 1)


class PixelSurprise(WindowSurprise):
    """VideoMAE: mean squared error of the hidden patches, which its encoder never sees (https://arxiv.org/abs/2203.12602)."""

    def at_window(self, video: Tensor) -> Tensor:
        network: Any = self.network
        tubelet, side = self.plan.tubelet, network.config.patch_size
        labels = patches(video, tubelet, side, normed=network.config.norm_pix_loss)  # (B, N, P)
        hidden = torch.zeros(labels.shape[:2], dtype=torch.bool, device=video.device)
        many = labels.shape[1] * self.plan.hidden // self.plan.window
        hidden[:, -many:] = True
        logits: Tensor = network(self.normalised(video), bool_masked_pos=hidden).logits
        return (logits - labels[:, -many:]).square().mean(dim=(1, 2))


def patches(video: Tensor, tubelet: int, side: int, *, normed: bool) -> Tensor:
    """Patches (B, N, tubelet x side x side x 3) of frames (B, W, 3, H, W), as VideoMAE counts them.

    normed: each channel of a patch has mean 0 and standard deviation 1.
    """
    many, frames, channels, height, width = video.shape
    blocks = video.view(many, frames // tubelet, tubelet, channels, height // side, side, width // side, side)
    blocks = blocks.permute(0, 1, 4, 6, 2, 5, 7, 3).reshape(many, -1, tubelet * side * side, channels)
    if normed:
        deviation = blocks.var(dim=-2, unbiased=True, keepdim=True).sqrt() + 1e-6
        blocks = (blocks - blocks.mean(dim=-2, keepdim=True)) / deviation
    return blocks.flatten(2)


def load_surprised(path: Path, plan: WindowPlan, device: torch.device, dtype: torch.dtype) -> WindowSurprise:
    """Load a network from its folder: safetensors only, no network connection, no code of the folder's.

    Raises ModelError: it cannot be loaded, or lacks weights, which the library would draw at random.
    """
    import transformers as library

    forbid_network()
    transformers: Any = library  # declares less than it does
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    kind = transformers.VJEPA2Model if plan.kind == "vjepa2" else transformers.VideoMAEForPreTraining
    try:
        network, report = kind.from_pretrained(
            path, local_files_only=True, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
    except PhysbenchError:
        raise
    except Exception as error:  # whatever the library raises at a folder from elsewhere
        raise ModelError(f"{path} cannot be loaded: {describe_error(error)}") from error
    wrong = sorted(report["missing_keys"]) + sorted(str(each[0]) for each in report["mismatched_keys"])
    if wrong:
        named = ", ".join(wrong[:NAMED_TENSORS]) + (" ..." if len(wrong) > NAMED_TENSORS else "")
        words = prefix_words(report["missing_keys"], report["unexpected_keys"])
        lacks = f"{path} lacks weights of {kind.__name__}, or has them in other sizes: {named}."
        raise ModelError(f"{lacks} {words}".rstrip())
    network = network.to(device).eval().requires_grad_(False)
    return (LatentSurprise if plan.kind == "vjepa2" else PixelSurprise)(plan, network)
