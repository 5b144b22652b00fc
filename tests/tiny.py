"""Random models small enough for tests, built from configs: nothing is downloaded."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from versat2i.adapters.lora import Adapter
from versat2i.shapes.pretraining import autoencoder, denoiser, pretrain, scenes

TEXT_DIM = 12
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
CONVOLUTIONS = ("conv1", "conv2")


def unet(seed: int = 0, channels: tuple[int, int] = (4, 8)) -> UNet2DConditionModel:
    """A denoiser of about 40 kB with self- and cross-attention."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=channels,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=TEXT_DIM,
            attention_head_dim=2,
            norm_num_groups=2,
        ).eval()


def adapter(
    model: UNet2DConditionModel,
    name: str,
    rank: int = 2,
    alpha: float = 2.0,
    targets: tuple[str, ...] = ATTENTION,
    parts: tuple[str, ...] = (".attn", ".resnets."),
) -> Adapter:
    """A random LoRA on that model's attention, or what `targets` names, different for each name."""
    generator = torch.Generator().manual_seed(sum(name.encode()))
    down, up = {}, {}
    for module, layer in model.named_modules():
        if any(part in module for part in parts) and module.endswith(targets):
            d_out, d_in, *kernel = layer.weight.shape
            size = 0.05 if kernel else 1.0  # so that many convolutions in a row stay within half precision
            down[module] = size * torch.randn(rank, d_in, *kernel, generator=generator)
            up[module] = torch.randn(d_out, rank, *[1] * len(kernel), generator=generator)
    return Adapter(name, down, up, alpha, {"base": "tiny"})


CONFIG = {
    "tokenizer": {"vocab_size": 400, "max_length": 24},
    "autoencoder": {
        "channels": [8, 8, 8],
        "encoder_blocks": [0, 1, 1],
        "decoder_blocks": [1, 1, 0],
        "latent_channels": 4,
    },
    "text_encoder": {"hidden": 16, "layers": 1, "heads": 2},
    "denoiser": {"channels": [8, 16], "layers_per_block": 1, "head_dim": 8, "norm_groups": 4, "text_heads": 2},
}
"""The embedded model's own configuration, much smaller."""


def pipeline_folder(folder: Path, seed: int = 0) -> Path:
    """A random model of the embedded model's class and vocabulary, saved as the real one is."""
    captions = [scenes.scene(0, index)[0] for index in range(500)]
    tokenizer = denoiser.build_tokenizer(CONFIG["tokenizer"], captions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = autoencoder.build(CONFIG["autoencoder"])
        text_encoder = denoiser.build_text_encoder(CONFIG["text_encoder"], tokenizer)
        model = denoiser.build_unet(CONFIG["denoiser"], CONFIG["text_encoder"]["hidden"], 4)
    pretrain.export(folder, vae, tokenizer, denoiser.Generator(text_encoder, model))
    return folder
