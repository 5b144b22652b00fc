"""Build and train the embedded model's tokenizer, text encoder and denoising UNet."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from versat2i.models.diffusion import words
from versat2i.models.diffusion.running import multiplies_in
from versat2i.seeds import stable_seed
from versat2i.shapes.pretraining.optimizers import MuonAdamW

_START, _END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(config: dict, captions: list[str]) -> CLIPTokenizer:
    """A CLIP tokenizer whose byte-pair merges are learned from captions.

    Without merges, words it knows would silently become ``<|endoftext|>``. `closed_vocabulary`
    in its config lists the words that were trained on: others are spelt out of pieces unknown to the model.
    """
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=config["vocab_size"], end_of_word_suffix="</w>", show_progress=False)
    bpe.train_from_iterator((c.lower().replace(",", " ,") for c in captions), trainer)
    model = json.loads(bpe.to_str())["model"]
    tokens = [*sorted(model["vocab"]), _START, _END]  # the trainer's own order changes from run to run
    vocab = {token: number for number, token in enumerate(tokens)}
    merges = [tuple(merge) for merge in model["merges"]]
    known = sorted({word for caption in captions for word in words(caption)})
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=config["max_length"], closed_vocabulary=known)


def build_text_encoder(config: dict, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text encoder for that tokenizer.

    Its embeddings start at unit variance: CLIP's own 0.02 drowns in the first layer's output, and
    then all tokens but the most telling end as one vector (here: the background's).
    """
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=config["hidden"],
            intermediate_size=4 * config["hidden"],
            projection_dim=config["hidden"],
            num_hidden_layers=config["layers"],
            num_attention_heads=config["heads"],
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    nn.init.normal_(model.get_input_embeddings().weight)
    return model


def build_unet(config: dict, text_hidden: int, latent_channels: int) -> UNet2DConditionModel:
    """An untrained denoiser with cross-attention on the lower levels.

    The pooled text is added to the timestep embedding, which scales and shifts every block (as in
    DeepFloyd IF): without it colours were still ignored after 2,500 steps.
    """
    channels = tuple(config["channels"])
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=latent_channels,
        out_channels=latent_channels,
        layers_per_block=config["layers_per_block"],
        block_out_channels=channels,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (len(channels) - 1)),
        up_block_types=(*["CrossAttnUpBlock2D"] * (len(channels) - 1), "UpBlock2D"),
        cross_attention_dim=text_hidden,
        attention_head_dim=tuple(c // config["head_dim"] for c in channels),  # heads, in spite of its name
        norm_num_groups=config["norm_groups"],
        addition_embed_type="text",
        addition_embed_type_num_heads=config["text_heads"],
        resnet_time_scale_shift="scale_shift",
    )


def build_scheduler() -> DPMSolverMultistepScheduler:
    """v-prediction with zero terminal SNR (Lin et al. 2024), sampled by DPM-Solver++."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
        rescale_betas_zero_snr=True,
    )


class Generator(nn.Module):
    """Text encoder and denoiser, trained together."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder, self.unet = text_encoder, unet

    def forward(self, noisy: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """Predicted velocity ``[batch, channels, 16, 16]`` of noisy latents, given token ids."""
        return self.unet(noisy, timesteps, self.text_encoder(tokens)[0]).sample


def learning_rate(step: int, config: dict) -> float:
    """The peak after a linear warm-up; in each span of steps in `decays` it falls to zero as a cosine."""
    peak = config["learning_rate"]
    if step < config["warmup"]:
        return peak * (step + 1) / config["warmup"]
    for first, last in config["decays"]:
        if first <= step < last:
            return peak * (0.5 + 0.5 * math.cos(math.pi * (step - first) / (last - first)))
    return peak


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights, ``a <- decay a + (1 - decay) w``."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids ``int64 [amount, max_length]``, padded."""
    return tokenizer(captions, padding="max_length", return_tensors="pt").input_ids


def draw_timesteps(amount: int, total: int, exponent: float, generator: torch.Generator) -> Tensor:
    """Timesteps ``floor(total * u^(1 / exponent))``, u uniform: density ``~ t^(exponent - 1)``.

    An exponent above 1 prefers noisy timesteps, where the text decides the picture.

    Returns:
        ``int64 [amount]``, 0 to total - 1.
    """
    uniform = torch.rand(amount, generator=generator, dtype=torch.float64)
    return (total * uniform ** (1 / exponent)).long()


def velocity_loss(
    model: Generator, latents: Tensor, noise: Tensor, timesteps: Tensor, tokens: Tensor, scheduler: DDPMScheduler
) -> Tensor:
    """``mean (v_theta(z_t, t, c) - v)^2`` with ``v = alpha_t eps - sigma_t z`` (Salimans & Ho 2022)."""
    noisy = scheduler.add_noise(latents, noise, timesteps)
    target = scheduler.get_velocity(latents, noise, timesteps)
    return F.mse_loss(model(noisy, timesteps, tokens).float(), target)


@dataclass(frozen=True)
class Scenes:
    """What the denoiser is trained on.

    Attributes:
        latents: ``[amount, channels, 16, 16]``.
        tokens: the captions, ``int64 [amount, max_length]``.
        simple: rows whose caption has objects of one look only.
        empty: the empty caption, ``int64 [max_length]``.
        clean: latents of the same captions as they say and without flaws.
    """

    latents: Tensor
    tokens: Tensor
    simple: Tensor
    empty: Tensor
    clean: Tensor

    def batch(
        self, size: int, simple_share: float, dropout: float, generator: torch.Generator, clean: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Random latents and tokens.

        Args:
            size: of the batch.
            simple_share: probability that a row is drawn among the simple ones, not among all.
            dropout: probability that a caption is emptied.
            generator: draws.
            clean: whether to take the clean latents.
        """
        latents = self.clean if clean else self.latents
        rows = torch.randint(len(latents), (size,), generator=generator)
        simple = self.simple[torch.randint(len(self.simple), (size,), generator=generator)]
        rows = torch.where(torch.rand(size, generator=generator) < simple_share, simple, rows)
        tokens = self.tokens[rows]
        tokens[torch.rand(size, generator=generator) < dropout] = self.empty
        return latents[rows].float(), tokens


def steps(
    model: Generator,
    average: Generator,
    optimizer: MuonAdamW,
    scenes: Scenes,
    config: dict,
    seed: int,
    first: int,
) -> Iterator[tuple[int, float]]:
    """Train from step `first` on; yields the number of steps done and the loss.

    It begins with simple scenes, whose words are easily told by their colours, and turns to all
    of them linearly over `simple_steps`. From the first to the last step of `clean` they are without flaws and as their
    captions say: a caption that is wrong half of the time teaches its words slowly.

    Args:
        model: what is trained.
        average: its moving average, what is kept.
        optimizer: over the model's parameters.
        scenes: what it is trained on.
        config: the `denoiser` section.
        seed: of every draw.
        first: steps already done.
    """
    scheduler = DDPMScheduler.from_config(build_scheduler().config)
    device = next(model.parameters()).device
    smaller = torch.autocast(device.type, torch.bfloat16, enabled=multiplies_in("bfloat16", device.type))
    amount = config["batch_size"]
    for step in range(first, config["steps"]):
        generator = torch.Generator().manual_seed(stable_seed(seed, "denoiser", step))
        simple_share = max(0.0, 1 - step / config["simple_steps"])
        clean = config["clean"][0] <= step < config["clean"][1]
        latents, tokens = scenes.batch(amount, simple_share, config["caption_dropout"], generator, clean)
        noise = torch.randn(latents.shape, generator=generator)
        timesteps = draw_timesteps(amount, scheduler.config.num_train_timesteps, config["timestep_exponent"], generator)
        latents, noise, timesteps, tokens = (t.to(device) for t in (latents, noise, timesteps, tokens))
        # PyTorch's fast attention is slow backwards in bfloat16 on a CPU
        with smaller, sdpa_kernel(SDPBackend.MATH):
            value = velocity_loss(model, latents, noise, timesteps, tokens, scheduler)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(learning_rate(step, config))
        update_average(average, model, min(config["ema"], (step + 1) / (step + 10)))
        yield step + 1, value.item()
