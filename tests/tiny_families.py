"""A random pipeline of each supported family, of the published class and structure but a thousandth of its size."""

from collections.abc import Callable
from pathlib import Path

import tiny
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from versat2i.models.diffusion import words
from versat2i.shapes.pretraining import denoiser, scenes

HIDDEN, POOLED = 16, 8
THRESHOLD = -0.093  # of the cosine of an image and the checker's first concept


def tokenizer() -> CLIPTokenizer:
    captions = [scenes.scene(0, index)[0] for index in range(200)]
    return denoiser.build_tokenizer(tiny.CONFIG["tokenizer"], captions)


def t5_tokenizer() -> T5TokenizerFast:
    """A piece a word."""
    pieces = sorted({word for index in range(200) for word in words(scenes.scene(0, index)[0])})
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{piece}", -1.0) for piece in pieces)]
    return T5TokenizerFast(vocab=vocab, extra_ids=0)


def clip(tokens: CLIPTokenizer, projection: int = 0) -> CLIPTextModel | CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        projection_dim=projection or HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokens.model_max_length,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def t5(tokens: T5TokenizerFast) -> T5EncoderModel:
    config = T5Config(vocab_size=len(tokens), d_model=40, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    return T5EncoderModel(config)


def vae(channels: int = 4, **config: object) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        layers_per_block=1,
        norm_num_groups=2,
        sample_size=32,
        **config,
    )


def unet(text: int, **config: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text,
        attention_head_dim=2,
        norm_num_groups=2,
        **config,
    )


def betas(**config: object) -> dict:
    """Stable Diffusion's schedule."""
    shared = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    return shared | {"steps_offset": 1} | config


def stable_diffusion(prediction: str, **options: object) -> DiffusionPipeline:
    tokens = tokenizer()
    return StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip(tokens),
        tokenizer=tokens,
        unet=unet(HIDDEN),
        scheduler=DDIMScheduler(**betas(prediction_type=prediction, set_alpha_to_one=False, clip_sample=False)),
        **{"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False} | options,
    )


def checker() -> dict:
    """A random safety checker that flags about half of what the random SD 1.5 draws, and what prepares its images."""
    vision = {"image_size": 16, "patch_size": 8, "hidden_size": HIDDEN, "intermediate_size": HIDDEN}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(vision_config=vision | layers, text_config=layers, projection_dim=POOLED)
    model = StableDiffusionSafetyChecker(config)
    torch.nn.init.normal_(model.concept_embeds)
    torch.nn.init.normal_(model.special_care_embeds)
    torch.nn.init.constant_(model.special_care_embeds_weights, 0.5)
    torch.nn.init.constant_(model.concept_embeds_weights, 2.0)  # above any cosine, but for one
    model.concept_embeds_weights.data[0] = THRESHOLD
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    return {"safety_checker": model, "feature_extractor": processor, "requires_safety_checker": True}


def sdxl() -> DiffusionPipeline:
    tokens, ids, size = tokenizer(), 6, 8
    return StableDiffusionXLPipeline(
        vae=vae(force_upcast=True, scaling_factor=0.13025),
        text_encoder=clip(tokens),
        text_encoder_2=clip(tokens, POOLED),
        tokenizer=tokens,
        tokenizer_2=tokens,
        unet=unet(
            2 * HIDDEN,
            addition_embed_type="text_time",
            addition_time_embed_dim=size,
            projection_class_embeddings_input_dim=ids * size + POOLED,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(**betas()),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def sd3() -> DiffusionPipeline:
    tokens, t5_tokens = tokenizer(), t5_tokenizer()
    return StableDiffusion3Pipeline(
        vae=vae(8, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(tokens, POOLED),
        text_encoder_2=clip(tokens, POOLED),
        text_encoder_3=t5(t5_tokens),
        tokenizer=tokens,
        tokenizer_2=tokens,
        tokenizer_3=t5_tokens,
        transformer=SD3Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=8,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=40,
            caption_projection_dim=16,
            pooled_projection_dim=2 * POOLED,
            out_channels=8,
            pos_embed_max_size=16,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


FAMILIES: dict[str, Callable[[], DiffusionPipeline]] = {
    "sd15": lambda: stable_diffusion("epsilon"),
    "sd21": lambda: stable_diffusion("v_prediction"),
    "sdxl": sdxl,
    "sd35": sd3,
}

WITH_CHECKER = {"sd15 with checker": lambda: stable_diffusion("epsilon", **checker())}


def folder(name: str, out: Path) -> Path:
    """Save the random pipeline of a family; the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        (FAMILIES | WITH_CHECKER)[name]().save_pretrained(out)
    return out
