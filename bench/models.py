"""SD 1.5 and SDXL with random weights: built from their published configs, or the same structure at a tiny size.

Speed and memory do not depend on what the weights are. The numbers are those of the `config.json` files in the
models' repositories (presets/ names them); tests/bench/test_models.py holds them to the published parameter counts.
"""

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from versat2i.models.diffusion import Backbone
from versat2i.models.diffusion.loading import DTYPES, FAMILIES
from versat2i.settings.compute import Compute
from versat2i.shapes.pretraining import denoiser, scenes

Config = dict[str, Any]

CROSS, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"

UNETS: dict[str, Config] = {
    "sd15": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "down_block_types": (CROSS, CROSS, CROSS, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", CROSS_UP, CROSS_UP, CROSS_UP),
        "attention_head_dim": 8,
        "cross_attention_dim": 768,
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", CROSS, CROSS),
        "up_block_types": (CROSS_UP, CROSS_UP, "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "use_linear_projection": True,
    },
}
TINY_UNETS: dict[str, Config] = {
    "sd15": {
        "sample_size": 16,
        "block_out_channels": (8, 16, 16, 16),
        "attention_head_dim": 2,
        "cross_attention_dim": 24,
    },
    "sdxl": {
        "sample_size": 16,
        "block_out_channels": (8, 16, 16),
        "transformer_layers_per_block": (1, 1, 2),
        "attention_head_dim": (2, 2, 2),
        "cross_attention_dim": 56,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 32,
    },
}
VAE: Config = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
VAES: dict[str, Config] = {
    "sd15": VAE | {"sample_size": 512},
    "sdxl": VAE | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True},
}
TINY_VAE: Config = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "sample_size": 128}
TEXT: dict[str, Config] = {  # CLIP ViT-L/14, and OpenCLIP ViT-bigG/14
    "first": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    "second": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 20,
        "projection_dim": 1280,
        "hidden_act": "gelu",
    },
}
TINY_TEXT: dict[str, Config] = {
    "first": {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2},
    "second": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 32,
    },
}
VOCABULARY = 49408
BETAS: Config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def unet(name: str, tiny: bool) -> UNet2DConditionModel:
    config = UNETS[name] | (TINY_UNETS[name] | {"norm_num_groups": 4} if tiny else {})
    return UNet2DConditionModel(in_channels=4, out_channels=4, layers_per_block=2, **config)


def tokenizer() -> CLIPTokenizer:
    """Of the embedded model's words, with CLIP's length: the published vocabularies are not at hand."""
    captions = [scenes.scene(0, index)[0] for index in range(200)]
    return denoiser.build_tokenizer({"vocab_size": 400, "max_length": 77}, captions)


def _text(which: str, kind: type, tokens: CLIPTokenizer, tiny: bool) -> CLIPTextModel | CLIPTextModelWithProjection:
    ids = {f"{name}_token_id": getattr(tokens, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    size = TINY_TEXT[which] if tiny else TEXT[which]
    return kind(CLIPTextConfig(vocab_size=len(tokens) if tiny else VOCABULARY, **size, **ids))


def _sd15(tiny: bool, shared: Config, tokens: CLIPTokenizer) -> DiffusionPipeline:
    return StableDiffusionPipeline(
        **shared,
        text_encoder=_text("first", CLIPTextModel, tokens, tiny),
        scheduler=DDIMScheduler(**BETAS, set_alpha_to_one=False, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl(tiny: bool, shared: Config, tokens: CLIPTokenizer) -> DiffusionPipeline:
    return StableDiffusionXLPipeline(
        **shared,
        text_encoder=_text("first", CLIPTextModel, tokens, tiny),
        text_encoder_2=_text("second", CLIPTextModelWithProjection, tokens, tiny),
        tokenizer_2=tokens,
        scheduler=EulerDiscreteScheduler(**BETAS),
        add_watermarker=False,
    )


BUILDERS = {"sd15": _sd15, "sdxl": _sdxl}


def build(name: str, device: str, dtype: str, tiny: bool = False) -> Backbone:
    """A random model on a device, behind the interface of its family.

    Args:
        name: sd15 or sdxl.
        device: where its weights are drawn, in float32, and then converted.
        dtype: as in params.
        tiny: the same structure at a size for tests.
    """
    tokens = tokenizer()
    with torch.device(device):
        shared = {"unet": unet(name, tiny), "vae": AutoencoderKL(**VAES[name] | (TINY_VAE if tiny else {}))}
        pipe = BUILDERS[name](tiny, shared | {"tokenizer": tokens}, tokens)
    pipe.to(device, DTYPES[dtype])
    pipe.set_progress_bar_config(disable=True)
    family = next(f for f in FAMILIES if f.pipeline_class == type(pipe).__name__)
    model = family(pipe, {"base_model": name, "revision": "random"}, Compute())
    for part in model.parts:
        part.requires_grad_(False).eval()
    return model
