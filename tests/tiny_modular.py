"""Tiny random modular pipelines of diffusers, of the parts of the tiny pipelines that are no modular ones."""

from __future__ import annotations

from typing import Any

from tiny_cosmos import cosmos3
from tiny_image_to_video import hunyuan15_i2v
from tiny_ltx import ltx2_condition, ltx_i2v
from tiny_wan import wan_i2v, wan_transformer


def _of_parts(blocks_name: str, parts: dict[str, Any]) -> Any:
    """A modular pipeline with those of the parts that its blocks take."""
    import diffusers

    blocks = getattr(diffusers, blocks_name)()
    pipe = blocks.init_pipeline()
    taken = {spec.name for spec in blocks.expected_components}
    pipe.update_components(**{name: part for name, part in parts.items() if name in taken and part is not None})
    return pipe


def modular_wan_i2v() -> Any:
    return _of_parts("WanImage2VideoAutoBlocks", wan_i2v().components)


def modular_wan22_i2v() -> Any:
    parts = wan_i2v().components
    transformers = {name: wan_transformer() for name in ("transformer", "transformer_2")}
    return _of_parts("Wan22Image2VideoBlocks", {**parts, **transformers})


def modular_ltx() -> Any:
    return _of_parts("LTXAutoBlocks", ltx_i2v().components)


def modular_ltx2() -> Any:
    return _of_parts("LTX2AutoBlocks", ltx2_condition().components)


def modular_echo() -> Any:
    return _of_parts("EchoBlocks", ltx2_condition().components)


def modular_hunyuan15() -> Any:
    return _of_parts("HunyuanVideo15AutoBlocks", hunyuan15_i2v().components)


def modular_cosmos3() -> Any:
    return _of_parts("Cosmos3OmniBlocks", cosmos3().components)


def modular_minimax_h3() -> Any:
    """Its reader of pictures and texts has 51 layers, as the 50th is read."""
    from diffusers import (
        AutoencoderKLMiniMaxH3,
        AutoencoderKLMiniMaxH3Audio,
        MiniMaxH3Scheduler,
        MiniMaxH3Transformer3DModel,
    )
    from transformers import (
        Qwen2TokenizerFast,
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    symbols = [*map(chr, range(33, 127)), "\u0120", *special, "<|endoftext|>"]
    tokenizer = Qwen2TokenizerFast(vocab={symbol: index for index, symbol in enumerate(symbols)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    start, end, image, video = (tokenizer.convert_tokens_to_ids(symbol) for symbol in special)
    text = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 51,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "vocab_size": len(tokenizer),
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
    }
    vision = {
        "depth": 1,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_heads": 2,
        "out_hidden_size": 8,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    pictures = Qwen2VLImageProcessor(
        patch_size=16, temporal_patch_size=2, merge_size=2, min_pixels=32 * 32, max_pixels=64 * 64
    )
    processor = Qwen3VLProcessor(image_processor=pictures, tokenizer=tokenizer, video_processor=Qwen3VLVideoProcessor())
    transformer = MiniMaxH3Transformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        hidden_size=24,
        num_layers=1,
        num_refiner_layers=1,
        ffn_dim=32,
        in_channels=4,
        audio_in_channels=8,
        patch_size=(1, 2, 2),
        text_dim=8,
        freq_dim=8,
        time_embed_hidden_dim=24,
        time_embed_dim=16,
        rope_freq_dim=2,
    )
    vae = AutoencoderKLMiniMaxH3(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        spatial_downsample_factors=(2, 2, 2, 2),
        temporal_downsample_factors=(1, 1, 2, 2),
        norm_num_groups=8,
        decoder_num_layers=1,
        decoder_num_attention_heads=2,
        decoder_attention_head_dim=8,
        decoder_num_register_tokens=2,
        decoder_ffn_mult=2,
        clip_length=17,
        token_drop=3,
        latents_mean=(0.0,) * 4,
        latents_std=(1.0,) * 4,
    )
    audio_vae = AutoencoderKLMiniMaxH3Audio(
        encoder_dim=4,
        encoder_rates=(2, 2),
        latent_dim=32,
        latent_channels=8,
        num_attention_heads=2,
        decoder_dim=16,
        decoder_rates=(2, 2),
        decoder_kernel_sizes=(4, 4),
        resblock_kernel_sizes=(3, 7),
        resblock_dilation_sizes=((1, 3), (1, 3)),
        sampling_rate=160,
        latents_mean=[0.0] * 8,
        latents_std=[1.0] * 8,
    )
    return _of_parts(
        "MiniMaxH3Blocks",
        {
            "text_encoder": Qwen3VLForConditionalGeneration(config).eval(),
            "tokenizer": tokenizer,
            "processor": processor,
            "transformer": transformer,
            "vae": vae,
            "audio_vae": audio_vae,
            "scheduler": MiniMaxH3Scheduler(),
            "audio_scheduler": MiniMaxH3Scheduler(),
        },
    )
