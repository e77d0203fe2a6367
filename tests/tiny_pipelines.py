"""Tiny random pipelines of diffusers, saved in the real format: random weights, tokenizers of a few words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

SIZE = 32  # px
WORDS = ["<pad>", "</s>", "<unk>", "a", "ball", "falls", "rolls", "the", "screen", "of", "and", "on"]
TINY_WAN_VAE = {
    "base_dim": 3,
    "z_dim": 4,
    "dim_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
    "latents_mean": [0.0] * 4,
    "latents_std": [1.0] * 4,
}
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
Components = dict[str, Any]


def t5() -> Components:
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

    config = T5Config(vocab_size=len(WORDS), d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    tokenizer = T5TokenizerFast(vocab=[(word, -float(index)) for index, word in enumerate(WORDS)], extra_ids=0)
    return {"text_encoder": T5EncoderModel(config).eval(), "tokenizer": tokenizer}


def wan_vae() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(**TINY_WAN_VAE)


def clip_vision(size: int = SIZE) -> Components:
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=8,
        projection_dim=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=size,
        intermediate_size=8,
        patch_size=size // 2,
    )
    return {
        "encoder": CLIPVisionModelWithProjection(config).eval(),
        "processor": CLIPImageProcessor(crop_size=size, size=size),
    }


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


def skyreels_df() -> Any:
    from diffusers import SkyReelsV2DiffusionForcingPipeline, SkyReelsV2Transformer3DModel, UniPCMultistepScheduler

    return SkyReelsV2DiffusionForcingPipeline(
        transformer=SkyReelsV2Transformer3DModel(**SKYREELS_TRANSFORMER),
        vae=wan_vae(),
        scheduler=UniPCMultistepScheduler(flow_shift=5.0, use_flow_sigmas=True),
        **t5(),
    )


def ltx_components() -> Components:
    from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel

    transformer = LTXVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=8,
    )
    vae = AutoencoderKLLTXVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False, False, False, False, False),
        upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1),
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
    )
    return {"transformer": transformer, "vae": vae, "scheduler": FlowMatchEulerDiscreteScheduler(), **t5()}


def ltx_condition() -> Any:
    from diffusers import LTXConditionPipeline

    return LTXConditionPipeline(**ltx_components())


def ltx_i2v() -> Any:
    from diffusers import LTXImageToVideoPipeline

    return LTXImageToVideoPipeline(**ltx_components())


def cogvideox_vae() -> Any:
    from diffusers import AutoencoderKLCogVideoX

    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )


def cogvideox_i2v() -> Any:
    from diffusers import CogVideoXImageToVideoPipeline, CogVideoXTransformer3DModel, DDIMScheduler

    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=8,
        num_layers=1,
        sample_width=SIZE // 8,
        sample_height=SIZE // 8,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=226,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
    )
    return CogVideoXImageToVideoPipeline(
        transformer=transformer, vae=cogvideox_vae(), scheduler=DDIMScheduler(), **t5()
    )


def svd() -> Any:
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )

    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32),
        layers_per_block=1,
        sample_size=SIZE,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=8,
        num_attention_heads=2,
        projection_class_embeddings_input_dim=24,
        addition_time_embed_dim=8,
        num_frames=8,
    )
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=[32, 32], down_block_types=["DownEncoderBlock2D", "DownEncoderBlock2D"], latent_channels=4
    )
    scheduler = EulerDiscreteScheduler(
        prediction_type="v_prediction",
        sigma_max=700.0,
        sigma_min=0.002,
        timestep_spacing="leading",
        timestep_type="continuous",
        use_karras_sigmas=True,
    )
    vision = clip_vision(224)  # the pipeline always resizes to it
    return StableVideoDiffusionPipeline(
        unet=unet,
        vae=vae,
        scheduler=scheduler,
        image_encoder=vision["encoder"],
        feature_extractor=vision["processor"],
    )


def word_tokenizer(extra: tuple[str, ...] = (), **options: Any) -> Any:
    """A tokenizer of whole words; `extra` are special tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate([*WORDS, *extra])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        additional_special_tokens=list(extra),
        **options,
    )
    return made


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


def cosmos3() -> Any:
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
    )
    template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    return Cosmos3OmniPipeline(
        transformer=transformer,
        text_tokenizer=word_tokenizer(extra, chat_template=template),
        vae=wan_vae(),
        scheduler=UniPCMultistepScheduler(),
        safety_checker=AllowAll(),
    )


def ltx2_components() -> Components:
    from diffusers import (
        AutoencoderKLLTX2Audio,
        AutoencoderKLLTX2Video,
        FlowMatchEulerDiscreteScheduler,
        LTX2VideoTransformer3DModel,
    )
    from diffusers.pipelines.ltx2 import LTX2TextConnectors
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    width, layers = 8, 1
    small = {"hidden_size": width, "intermediate_size": 8, "num_attention_heads": 2}
    text = {**small, "vocab_size": len(WORDS), "num_hidden_layers": layers, "num_key_value_heads": 1, "head_dim": 4}
    vision = {**small, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=1)
    transformer = LTX2VideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        num_layers=1,
        caption_channels=width,
        rope_double_precision=False,
        rope_type="split",
    )
    connectors = LTX2TextConnectors(
        caption_channels=width,
        text_proj_in_factor=layers + 1,
        video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=4,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=None,
        audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=4,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=None,
        connector_rope_base_seq_len=32,
        rope_double_precision=False,
        rope_type="split",
    )
    vae = AutoencoderKLLTX2Video(
        latent_channels=4,
        block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1, 1),
        spatio_temporal_scaling=(True, True),
        decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False, False, False),
        downsample_type=("spatiotemporal", "spatiotemporal"),
        upsample_type=("spatiotemporal", "spatiotemporal"),
        upsample_residual=(False, False),
        upsample_factor=(1, 1),
        patch_size=1,
        decoder_causal=False,
    )
    audio_vae = AutoencoderKLLTX2Audio(
        base_channels=4,
        ch_mult=(1,),
        num_res_blocks=1,
        attn_resolutions=None,
        resolution=32,
        latent_channels=2,
        mid_block_add_attention=False,
        mel_bins=8,
    )
    vocoder = LTX2Vocoder(
        in_channels=audio_vae.config.output_channels * audio_vae.config.mel_bins,
        hidden_channels=8,
        upsample_kernel_sizes=[4, 4],
        upsample_factors=[2, 2],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3, 5]],
        output_sampling_rate=16000,
    )
    return {
        "transformer": transformer,
        "connectors": connectors,
        "vae": vae,
        "audio_vae": audio_vae,
        "vocoder": vocoder,
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "text_encoder": Gemma3ForConditionalGeneration(config).eval(),
        "tokenizer": word_tokenizer(model_max_length=16),
    }


def ltx2_condition() -> Any:
    from diffusers import LTX2ConditionPipeline

    return LTX2ConditionPipeline(**ltx2_components())


def ltx2_i2v() -> Any:
    from diffusers import LTX2ImageToVideoPipeline

    return LTX2ImageToVideoPipeline(**ltx2_components())


def hunyuan_i2v() -> Any:
    from diffusers import (
        AutoencoderKLHunyuanVideo,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideoImageToVideoPipeline,
        HunyuanVideoTransformer3DModel,
    )
    from transformers import (
        CLIPImageProcessor,
        CLIPTextConfig,
        CLIPTextModel,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    extra = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<image>")
    vocabulary = len(WORDS) + len(extra)
    small = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
    vision = CLIPVisionConfig(
        **small, num_hidden_layers=2, image_size=336, patch_size=14
    )  # 576 tokens, as in the prompt
    llama = LlamaConfig(**small, num_hidden_layers=3, vocab_size=vocabulary, pad_token_id=0)
    llava = LlavaConfig(vision_config=vision, text_config=llama, image_token_index=vocabulary - 1, pad_token_id=0)
    clip = CLIPTextConfig(**small, num_hidden_layers=1, vocab_size=len(WORDS), projection_dim=8, eos_token_id=1)
    transformer = HunyuanVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=1,
        patch_size_t=1,
        guidance_embeds=True,
        text_embed_dim=8,
        pooled_projection_dim=8,
        rope_axes_dim=(2, 4, 4),
        image_condition_type="token_replace",
    )
    vae = AutoencoderKLHunyuanVideo(
        latent_channels=4,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
    )
    return HunyuanVideoImageToVideoPipeline(
        transformer=transformer,
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=LlavaForConditionalGeneration(llava).eval(),
        text_encoder_2=CLIPTextModel(clip).eval(),
        tokenizer=word_tokenizer(extra),
        tokenizer_2=word_tokenizer(model_max_length=77),
        image_processor=CLIPImageProcessor(crop_size=336, size=336),
    )


def skyreels_df_i2v() -> Any:
    from diffusers import (
        SkyReelsV2DiffusionForcingImageToVideoPipeline,
        SkyReelsV2Transformer3DModel,
        UniPCMultistepScheduler,
    )

    return SkyReelsV2DiffusionForcingImageToVideoPipeline(
        transformer=SkyReelsV2Transformer3DModel(**SKYREELS_TRANSFORMER),
        vae=wan_vae(),
        scheduler=UniPCMultistepScheduler(flow_shift=5.0, use_flow_sigmas=True),
        **t5(),
    )


def skyreels_i2v() -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SkyReelsV2ImageToVideoPipeline,
        SkyReelsV2Transformer3DModel,
    )

    vision = clip_vision()
    return SkyReelsV2ImageToVideoPipeline(
        transformer=SkyReelsV2Transformer3DModel(**{**SKYREELS_TRANSFORMER, "in_channels": 12, "image_dim": 8}),
        vae=wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        image_encoder=vision["encoder"],
        image_processor=vision["processor"],
        **t5(),
    )


MAKERS: dict[str, Callable[[], Any]] = {
    maker.__name__: maker
    for maker in (
        cosmos1,
        cosmos2,
        cosmos25,
        cosmos3,
        hunyuan_i2v,
        wan_i2v,
        wan_vace,
        skyreels_df,
        skyreels_df_i2v,
        skyreels_i2v,
        ltx_condition,
        ltx_i2v,
        ltx2_condition,
        ltx2_i2v,
        cogvideox_i2v,
        svd,
    )
}


def save_tiny(name: str, folder: Path) -> Path:
    """Make the pipeline of one maker with fixed random weights and save it as diffusers does."""
    torch.manual_seed(0)
    pipe = MAKERS[name]()
    pipe.set_progress_bar_config(disable=True)
    if isinstance(getattr(pipe, "safety_checker", None), AllowAll):
        pipe.register_modules(safety_checker=None)
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


LTX2_ARGS = {"max_frames": "25", "max_sequence_length": "16", "stg_scale": "0", "audio_stg_scale": "0"}
# --model-arg with which each runs in tests.
TINY_ARGS: dict[str, dict[str, str]] = {
    "cosmos1": {"guardrail": "dummy", "max_frames": "25"},
    "cosmos2": {"guardrail": "dummy", "max_frames": "25"},
    "cosmos25": {"guardrail": "dummy", "max_frames": "25"},
    "skyreels_df": {"pipeline": "SkyReelsV2DiffusionForcingVideoToVideoPipeline", "context_frames": "5"},
    "cosmos3": {"guardrail": "dummy", "max_frames": "25"},
    "ltx2_condition": LTX2_ARGS,
    "ltx2_i2v": {**LTX2_ARGS, "image_crf": "0"},
    "svd": {},
    "cogvideox_i2v": {},
    "wan_vace": {"max_frames": "25", "context_frames": "5"},
}


class TinyPipelines:
    """Saves and loads each tiny pipeline once in a session."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded: dict[str, Any] = {}

    def folder(self, name: str) -> Path:
        """The saved pipeline."""
        folder = self.root / name
        return folder if folder.exists() else save_tiny(name, folder)

    def arguments(self, name: str, **changed: str) -> dict[str, str]:
        """--model-arg for a quick rollout."""
        usual = {"width": f"{SIZE}", "height": f"{SIZE}", "num_inference_steps": "1"}
        return {**usual, **TINY_ARGS.get(name, {"max_frames": "25"}), **changed}

    def model(self, name: str, **changed: str) -> Any:
        """The model as the harness loads it; without changed arguments it is loaded once."""
        from physbench.adapters.load_model import load_model

        if changed or name not in self.loaded:
            arguments = self.arguments(name, **changed)
            target = f"diffusers:{self.folder(name)}"
            model = load_model(target, device=torch.device("cpu"), dtype=torch.float32, model_args=arguments)
            if changed:
                return model
            self.loaded[name] = model
        return self.loaded[name]


def edit_json(path: Path, **changed: Any) -> None:
    """Change keys of a JSON file."""
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changed}))
