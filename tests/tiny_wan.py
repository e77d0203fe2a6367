"""Tiny random pipelines of Wan and of SkyReels V2, which has its parts."""

from __future__ import annotations

from typing import Any

from tiny_parts import Components, clip_vision, t5, wan_vae

SKYREELS_TRANSFORMER = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 8,
    "freq_dim": 16,
    "ffn_dim": 8,
    "num_layers": 1,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 32,
}


def wan_transformer(**changed: Any) -> Any:
    from diffusers import WanTransformer3DModel

    config: Components = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 12,
        "out_channels": 4,
        "text_dim": 8,
        "freq_dim": 16,
        "ffn_dim": 8,
        "num_layers": 1,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 32,
    }
    return WanTransformer3DModel(**{**config, **changed})


def wan_i2v() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline

    vision = clip_vision()
    return WanImageToVideoPipeline(
        transformer=wan_transformer(image_dim=8),
        vae=wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        image_encoder=vision["encoder"],
        image_processor=vision["processor"],
        **t5(),
    )


def wan_vace() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, WanVACEPipeline, WanVACETransformer3DModel

    transformer = WanVACETransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=8,
        freq_dim=16,
        ffn_dim=8,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
        vace_layers=[0, 1],
        vace_in_channels=2 * 4 + 64,
    )
    return WanVACEPipeline(
        transformer=transformer, vae=wan_vae(), scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0), **t5()
    )


def diffusion_forcing_parts() -> Components:
    from diffusers import SkyReelsV2Transformer3DModel, UniPCMultistepScheduler

    return {
        "transformer": SkyReelsV2Transformer3DModel(**SKYREELS_TRANSFORMER),
        "vae": wan_vae(),
        "scheduler": UniPCMultistepScheduler(flow_shift=5.0, use_flow_sigmas=True),
        **t5(),
    }


def skyreels_df() -> Any:
    from diffusers import SkyReelsV2DiffusionForcingPipeline

    return SkyReelsV2DiffusionForcingPipeline(**diffusion_forcing_parts())


def skyreels_df_i2v() -> Any:
    from diffusers import SkyReelsV2DiffusionForcingImageToVideoPipeline

    return SkyReelsV2DiffusionForcingImageToVideoPipeline(**diffusion_forcing_parts())


def skyreels_i2v() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SkyReelsV2ImageToVideoPipeline, SkyReelsV2Transformer3DModel

    vision = clip_vision()
    return SkyReelsV2ImageToVideoPipeline(
        transformer=SkyReelsV2Transformer3DModel(**{**SKYREELS_TRANSFORMER, "in_channels": 12, "image_dim": 8}),
        vae=wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        image_encoder=vision["encoder"],
        image_processor=vision["processor"],
        **t5(),
    )
