"""Train the embedded model's autoencoder: 64x64 pixels to 16x16 latents and back."""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

from versat2i.models.diffusion.running import multiplies_in
from versat2i.seeds import stable_seed

LATENT = 4  # pixels across


def build(config: dict) -> AutoencoderTiny:
    """An untrained autoencoder; latents have unit scale, so ``scaling_factor`` is 1."""
    return AutoencoderTiny(
        encoder_block_out_channels=tuple(config["channels"]),
        decoder_block_out_channels=tuple(config["channels"]),
        num_encoder_blocks=tuple(config["encoder_blocks"]),
        num_decoder_blocks=tuple(config["decoder_blocks"]),
        latent_channels=config["latent_channels"],
        upsampling_scaling_factor=2,
        scaling_factor=1.0,
    )


def to_tensor(images: np.ndarray) -> Tensor:
    """``uint8 [batch, height, width, 3]`` to ``float32 [batch, 3, height, width]`` in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def loss(model: AutoencoderTiny, images: Tensor, latent_noise: float, generator: torch.Generator) -> Tensor:
    """``mse + 0.2 l1 + 0.05 (mean_c(z)^2 + (std_c(z) - 1)^2)``, z decoded with noise added.

    The last term holds every latent channel at zero mean and unit variance, which diffusion
    assumes; without it the encoder would outgrow the noise.

    Args:
        model: the autoencoder.
        images: ``[batch, 3, height, width]`` in [-1, 1].
        latent_noise: standard deviation of the noise added to the latents.
        generator: draws that noise.
    """
    latents = model.encode(images).latents.float()
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    decoded = model.decode(latents + latent_noise * noise).sample.float()
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    scale = (mean.square() + (std - 1).square()).mean()
    return F.mse_loss(decoded, images) + 0.2 * F.l1_loss(decoded, images) + 0.05 * scale


def crops(images: np.ndarray, size: int, generator: torch.Generator) -> np.ndarray:
    """One crop of each image: of four random ones the one with most contrast.

    Most of a drawing is flat and teaches nothing after the first minute; outlines do. Crops begin where a latent
    does, so that what repeats by the latents' grid looks the same to them as in a whole image.

    Args:
        images: ``uint8 [batch, height, width, 3]``.
        size: of the crops, pixels.
        generator: draws the places.

    Returns:
        ``uint8 [batch, size, size, 3]``.
    """
    most = (images.shape[1] - size) // LATENT + 1
    places = LATENT * torch.randint(most, (len(images), 4, 2), generator=generator).numpy()
    best = []
    for image, tried in zip(images, places, strict=True):
        found = [image[y : y + size, x : x + size] for y, x in tried]
        best.append(max(found, key=lambda crop: float(crop.std())))
    return np.stack(best)


def steps(
    model: AutoencoderTiny,
    optimizer: torch.optim.Optimizer,
    images: np.ndarray,
    config: dict,
    seed: int,
    first: int,
) -> Iterator[tuple[int, float]]:
    """Train from step `first` on; yields the number of steps done and the loss."""
    peak, total = config["learning_rate"], config["steps"]
    for step in range(first, total):
        generator = torch.Generator().manual_seed(stable_seed(seed, "autoencoder", step))
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / total))
        rows = torch.randint(len(images), (config["batch_size"],), generator=generator).numpy()
        device = next(model.parameters()).device
        batch = to_tensor(crops(images[rows], config["crop"], generator)).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_in("bfloat16", device.type)):
            value = loss(model, batch, config["latent_noise"], generator)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield step + 1, value.item()


@torch.no_grad()
def encode(model: AutoencoderTiny, images: np.ndarray, batch_size: int = 256) -> Tensor:
    """Latents of many images, ``float16 [amount, channels, 16, 16]`` on the CPU."""
    device = next(model.parameters()).device
    batches = [
        model.encode(to_tensor(images[i : i + batch_size]).to(device)).latents.half().cpu()
        for i in range(0, len(images), batch_size)
    ]
    return torch.cat(batches)


@torch.no_grad()
def psnr(model: AutoencoderTiny, images: np.ndarray) -> float:
    """Peak signal-to-noise ratio of the round trip, ``10 log10(4 / mse)`` dB, images in [-1, 1]."""
    pixels = to_tensor(images)
    decoded = model.decode(encode(model, images).float()).sample.clamp(-1, 1)
    return float(10 * torch.log10(4 / F.mse_loss(decoded, pixels)))
