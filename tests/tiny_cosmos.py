"""Tiny random pipelines of Cosmos."""

from __future__ import annotations

from typing import Any

from tiny_parts import WORDS, Components, t5, wan_vae, word_tokenizer


def cosmos_transformer(channels: int, **changed: Any) -> Any:
    from diffusers import CosmosTransformer3DModel

    config: Components = {
        "in_channels": channels + 1,
        "out_channels": channels,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 1,
        "mlp_ratio": 1,
        "text_embed_dim": 8,
        "adaln_lora_dim": 4,
        "max_size": (8, 8, 8),
        "patch_size": (1, 2, 2),
        "rope_scale": (2.0, 1.0, 1.0),
        "concat_padding_mask": False,  # True needs torchvision
        "extra_pos_embed_type": "learnable",
    }
    return CosmosTransformer3DModel(**{**config, **changed})


class AllowAll:
    """Stands in for the guardrail while a tiny pipeline is made; it is not saved."""

    def to(self, *_: Any, **__: Any) -> AllowAll:
        return self


def cosmos1() -> Any:
    from diffusers import AutoencoderKLCosmos, CosmosVideoToWorldPipeline, EDMEulerScheduler

    vae = AutoencoderKLCosmos(
        latent_channels=4,
        encoder_block_out_channels=(8, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8),
        attention_resolutions=(8,),
        resolution=64,
        num_layers=1,
        patch_size=4,
        scaling_factor=1.0,
        spatial_compression_ratio=4,
        temporal_compression_ratio=4,
    )
    scheduler = EDMEulerScheduler(
        sigma_min=0.002, sigma_max=80, sigma_data=0.5, sigma_schedule="karras", final_sigmas_type="sigma_min"
    )
    return CosmosVideoToWorldPipeline(
        transformer=cosmos_transformer(4), vae=vae, scheduler=scheduler, safety_checker=AllowAll(), **t5()
    )


def cosmos2() -> Any:
    from diffusers import Cosmos2VideoToWorldPipeline, FlowMatchEulerDiscreteScheduler

    return Cosmos2VideoToWorldPipeline(
        transformer=cosmos_transformer(4),
        vae=wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
        safety_checker=AllowAll(),
        **t5(),
    )


def cosmos25() -> Any:
    from diffusers import Cosmos2_5_PredictBasePipeline, UniPCMultistepScheduler
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    sizes = {"hidden_size": 16, "intermediate_size": 16}
    config = Qwen2_5_VLConfig(
        text_config={
            **sizes,
            "vocab_size": len(WORDS),
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        },
        vision_config={**sizes, "depth": 1, "num_heads": 2, "out_hidden_size": 16},
    )
    template = "{% for message in messages %}{{ message.content[0].text }} {% endfor %}"
    return Cosmos2_5_PredictBasePipeline(
        transformer=cosmos_transformer(4, text_embed_dim=16),
        vae=wan_vae(),
        scheduler=UniPCMultistepScheduler(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(),
        tokenizer=word_tokenizer(chat_template=template),
        safety_checker=AllowAll(),
    )


def cosmos3(**changed: Any) -> Any:
    from diffusers import Cosmos3OmniPipeline, Cosmos3OmniTransformer, UniPCMultistepScheduler

    extra = ("<|vision_start|>", "<|vision_end|>", "<|im_start|>", "<|im_end|>")
    transformer = Cosmos3OmniTransformer(
        head_dim=6,
        hidden_act="relu2",
        hidden_size=6,
        intermediate_size=12,
        latent_channel=4,
        latent_patch_size=1,
        num_attention_heads=1,
        num_hidden_layers=1,
        num_key_value_heads=1,
        patch_latent_dim=4,
        qk_norm_for_text=False,
        rms_norm_eps=1e-5,
        rope_axes_dim=[1, 1, 1],
        vocab_size=len(WORDS) + len(extra),
        **changed,
    )
    template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    return Cosmos3OmniPipeline(
        transformer=transformer,
        text_tokenizer=word_tokenizer(extra, chat_template=template),
        vae=wan_vae(),
        scheduler=UniPCMultistepScheduler(),
        safety_checker=AllowAll(),
    )


def cosmos3_actions() -> Any:
    """One that was made with actions; their embedding is not 0, so that its frames depend on them."""
    import torch

    pipe = cosmos3(action_gen=True, action_dim=4)
    with torch.no_grad():
        for name in ("action_proj_in", "action_proj_out"):
            for weights in getattr(pipe.transformer, name).parameters():
                weights.normal_()
    return pipe
