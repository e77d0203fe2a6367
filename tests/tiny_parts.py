"""Parts that several tiny random pipelines of diffusers share."""

from __future__ import annotations

from typing import Any

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
