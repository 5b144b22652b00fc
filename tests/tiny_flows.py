"""A random pipeline of each family of flow transformers, from configs alone: no hub, at most a few hundred kB."""

from collections.abc import Callable
from pathlib import Path

import tiny_families
import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralImageProcessor,
    PixtralProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLModel,
)

CHAT = (
    "{% for m in messages %}<|im_start|>{{m.role}}\n{{m.content}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HIDDEN = 16
SCALES = {"scaling_factor": 0.3611, "shift_factor": 0.1159}


def qwen_tokenizer(*more: str) -> Qwen2Tokenizer:
    """A token a byte, and marks."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *more]
    vocab = {piece: number for number, piece in enumerate([*sorted(ByteLevel.alphabet()), *marks])}
    found = Qwen2Tokenizer(vocab=vocab, merges=[], additional_special_tokens=marks[1:])
    found.chat_template = CHAT
    return found


def gemma_tokenizer() -> GemmaTokenizer:
    """A token a letter."""
    marks, letters = ["<pad>", "<eos>", "<bos>", "<unk>"], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.<>"
    pieces = [*marks, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters]
    return GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def qwen3(tokens: Qwen2Tokenizer, layers: int) -> Qwen3Config:
    return Qwen3Config(
        hidden_size=HIDDEN,
        intermediate_size=HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=len(tokens),
        max_position_embeddings=512,
    )


def gemma(tokens: GemmaTokenizer) -> Gemma2Model:
    config = Gemma2Config(
        hidden_size=HIDDEN,
        intermediate_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=len(tokens),
        attn_implementation="eager",
    )
    return Gemma2Model(config)


def vae(levels: int = 2) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        sample_size=32,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **SCALES,
    )


def film_vae() -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.0, 2.0, 0.5, 1.5],
    )


def by_size(**config: object) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0, **config)


STREAMS = {
    "patch_size": 1,
    "in_channels": 16,
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
}


def flux(guidance: bool) -> DiffusionPipeline:
    clip, t5 = tiny_families.tokenizer(), tiny_families.t5_tokenizer()
    return FluxPipeline(
        scheduler=by_size() if guidance else FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=vae(),
        text_encoder=tiny_families.clip(clip),
        tokenizer=clip,
        text_encoder_2=tiny_families.t5(t5),
        tokenizer_2=t5,
        transformer=FluxTransformer2DModel(
            joint_attention_dim=40,
            pooled_projection_dim=tiny_families.HIDDEN,
            axes_dims_rope=[4, 4, 8],
            guidance_embeds=guidance,
            **STREAMS,
        ),
    )


def chroma() -> DiffusionPipeline:
    t5 = tiny_families.t5_tokenizer()
    return ChromaPipeline(
        scheduler=by_size(),
        vae=vae(),
        text_encoder=tiny_families.t5(t5),
        tokenizer=t5,
        transformer=ChromaTransformer2DModel(
            joint_attention_dim=40,
            axes_dims_rope=[4, 4, 8],
            approximator_hidden_dim=32,
            approximator_layers=1,
            approximator_num_channels=16,
            **STREAMS,
        ),
    )


def flux2_vae() -> AutoencoderKLFlux2:
    found = AutoencoderKLFlux2(
        sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
    )
    torch.nn.init.normal_(found.bn.running_mean)
    torch.nn.init.uniform_(found.bn.running_var, 0.5, 2.0)
    return found


def klein(distilled: bool = False) -> DiffusionPipeline:
    tokens = qwen_tokenizer()
    return Flux2KleinPipeline(
        scheduler=by_size(),
        vae=flux2_vae(),
        text_encoder=Qwen3ForCausalLM(qwen3(tokens, 28)),
        tokenizer=tokens,
        transformer=Flux2Transformer2DModel(
            joint_attention_dim=3 * HIDDEN,
            timestep_guidance_channels=32,
            axes_dims_rope=[4, 4, 4, 4],
            guidance_embeds=False,
            **STREAMS,
        ),
        is_distilled=distilled,
    )


def mistral(tokens: Qwen2Tokenizer) -> Mistral3ForConditionalGeneration:
    shared = {"hidden_size": HIDDEN, "intermediate_size": HIDDEN, "num_attention_heads": 2, "head_dim": 8}
    words = {"num_hidden_layers": 30, "num_key_value_heads": 2, "vocab_size": len(tokens)}
    sight = {"num_hidden_layers": 1, "image_size": 32, "patch_size": 8}
    config = Mistral3Config(
        text_config={"model_type": "mistral", "max_position_embeddings": 512, **shared, **words},
        vision_config={"model_type": "pixtral", **shared, **sight},
        image_token_index=len(tokens) - 1,
    )
    return Mistral3ForConditionalGeneration(config)


def flux2() -> DiffusionPipeline:
    tokens = qwen_tokenizer("[IMG_BREAK]", "[IMG_END]", "[IMG]")
    parts = "{% for part in m.content %}{{part.text}}{% endfor %}"
    chat = "{% for m in messages %}<|im_start|>{{m.role}}\n" + parts + "<|im_end|>\n{% endfor %}"
    processor = PixtralProcessor(PixtralImageProcessor(), tokens, patch_size=8, chat_template=chat)
    return Flux2Pipeline(
        scheduler=by_size(),
        vae=flux2_vae(),
        text_encoder=mistral(tokens),
        tokenizer=processor,
        transformer=Flux2Transformer2DModel(
            joint_attention_dim=3 * HIDDEN,
            timestep_guidance_channels=32,
            axes_dims_rope=[4, 4, 4, 4],
            guidance_embeds=True,
            **STREAMS,
        ),
    )


VISION = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}


def layers_of(tokens, **more) -> dict:
    """The part of a Qwen-VL's config that is about text."""
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    sizes = {"hidden_size": HIDDEN, "intermediate_size": HIDDEN, "num_hidden_layers": 2, "vocab_size": len(tokens)}
    return heads | sizes | more


def qwen_image() -> DiffusionPipeline:
    tokens = qwen_tokenizer()
    config = Qwen2_5_VLConfig(
        text_config=layers_of(
            tokens, rope_scaling={"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"}, rope_theta=1e6
        ),
        vision_config=VISION,
        hidden_size=HIDDEN,
        vocab_size=len(tokens),
    )
    return QwenImagePipeline(
        scheduler=by_size(shift_terminal=0.02, base_shift=0.5, max_shift=0.9, max_image_seq_len=8192),
        vae=film_vae(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokens,
        transformer=QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=3,
            joint_attention_dim=HIDDEN,
            guidance_embeds=False,
            axes_dims_rope=(8, 4, 4),
        ),
    )


def z_image() -> DiffusionPipeline:
    tokens = qwen_tokenizer()
    transformer = ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        norm_eps=1e-5,
        qk_norm=True,
        cap_feat_dim=HIDDEN,
        rope_theta=256.0,
        t_scale=1000.0,
        axes_dims=[8, 4, 4],
        axes_lens=[1024, 32, 32],
    )
    torch.nn.init.ones_(transformer.x_pad_token)  # a model from a config alone leaves them as memory was
    torch.nn.init.ones_(transformer.cap_pad_token)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(),
        text_encoder=Qwen3Model(qwen3(tokens, 2)),
        tokenizer=tokens,
        transformer=transformer,
    )


def sana() -> DiffusionPipeline:
    tokens = gemma_tokenizer()
    blocks = ("ResBlock", "EfficientViTBlock")
    return SanaPipeline(
        tokenizer=tokens,
        text_encoder=gemma(tokens),
        vae=AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=blocks,
            decoder_block_types=blocks,
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=[1, 1],
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        ),
        transformer=SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=HIDDEN,
            sample_size=16,
        ),
        scheduler=DPMSolverMultistepScheduler(
            flow_shift=3.0, use_flow_sigmas=True, prediction_type="flow_prediction", final_sigmas_type="zero"
        ),
    )


def lumina2() -> DiffusionPipeline:
    tokens = gemma_tokenizer()
    return Lumina2Pipeline(
        transformer=Lumina2Transformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=4,
            hidden_size=16,
            num_layers=1,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=16,
            norm_eps=1e-5,
            scaling_factor=1.0,
            axes_dim_rope=[4, 2, 2],
            cap_feat_dim=HIDDEN,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=vae(4),  # the pipeline takes its factor to be 8
        text_encoder=gemma(tokens),
        tokenizer=tokens,
    )


def krea2() -> DiffusionPipeline:
    tokens = qwen_tokenizer()
    config = Qwen3VLConfig(
        text_config=layers_of(tokens, head_dim=8),
        vision_config=VISION,
        vocab_size=len(tokens),
    )
    return Krea2Pipeline(
        transformer=Krea2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=32,
            timestep_embed_dim=8,
            text_hidden_dim=HIDDEN,
            num_text_layers=3,
            text_num_attention_heads=2,
            text_num_key_value_heads=1,
            text_intermediate_size=16,
            num_layerwise_text_blocks=1,
            num_refiner_text_blocks=1,
            axes_dims_rope=(4, 2, 2),
            rope_theta=1000.0,
        ),
        scheduler=by_size(max_image_seq_len=6400),
        vae=film_vae(),
        text_encoder=Qwen3VLModel(config),
        tokenizer=tokens,
        text_encoder_select_layers=(0, 1, 2),
    )


FAMILIES: dict[str, Callable[[], DiffusionPipeline]] = {
    "z_image": z_image,
    "qwen_image": qwen_image,
    "flux": lambda: flux(True),
    "schnell": lambda: flux(False),
    "klein": klein,
    "flux2": flux2,
    "chroma": chroma,
    "sana": sana,
    "lumina2": lumina2,
    "krea2": krea2,
}

ALL = tiny_families.FAMILIES | FAMILIES


def folder(name: str, out: Path) -> Path:
    """Save the random pipeline of any family; the same weights every time."""
    if name not in FAMILIES:
        return tiny_families.folder(name, out)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        FAMILIES[name]().save_pretrained(out)
    return out
