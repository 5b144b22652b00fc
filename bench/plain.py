"""What the plain libraries do, for comparison: diffusers' pipeline, and a LoRA step as diffusers' scripts make it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, DiffusionPipeline
from peft import LoraConfig

from versat2i.models.diffusion import Embeddings
from versat2i.settings.params import Sampling


def drawing(pipe: DiffusionPipeline, texts: Embeddings, empty: Embeddings, sampling: Sampling) -> Callable[[], object]:
    """The pipeline's own call with the same prompt embeddings, images as numpy arrays."""
    device, dtype, amount = pipe.device, pipe.unet.dtype, len(texts.hidden)
    told = {
        "prompt_embeds": texts.hidden.to(device, dtype),
        "negative_prompt_embeds": empty.hidden.to(device, dtype).expand(amount, -1, -1),
    }
    if texts.pooled is not None and empty.pooled is not None:
        told["pooled_prompt_embeds"] = texts.pooled.to(device, dtype)
        told["negative_pooled_prompt_embeds"] = empty.pooled.to(device, dtype).expand(amount, -1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(amount)]
    return lambda: (
        pipe(
            **told,
            generator=generators,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance_scale,
            output_type="np",
        ).images
    )


def lora_step(
    pipe: DiffusionPipeline, latents: torch.Tensor, texts: Embeddings, rank: int, rate: float
) -> Callable[[], float]:
    """Noise, forward pass, mean squared error, backward pass, AdamW: with latents and embeddings made before.

    Args:
        pipe: its UNet gets a LoRA on the attention projections.
        latents: clean ones, ``[batch, channels, height, width]``.
        texts: prompt embeddings, one a latent.
        rank: of the LoRA.
        rate: learning rate.
    """
    unet, schedule = pipe.unet, DDPMScheduler.from_config(pipe.scheduler.config)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, rate, weight_decay=0.0)
    latents, hidden = latents.to(unet.device, unet.dtype), texts.hidden.to(unet.device, unet.dtype)
    added = None
    if texts.pooled is not None:
        side = latents.shape[-1] * pipe.vae_scale_factor
        ids = torch.tensor([[side, side, 0, 0, side, side]]).expand(len(latents), -1)
        added = {"text_embeds": texts.pooled.to(hidden), "time_ids": ids.to(hidden)}

    def step() -> float:
        noise = torch.randn_like(latents)
        times = torch.randint(1000, (len(latents),), device=latents.device)
        noisy = schedule.add_noise(latents, noise, times)
        prediction = unet(noisy, times, hidden, added_cond_kwargs=added).sample
        loss = F.mse_loss(prediction.float(), noise.float())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        return loss.item()

    return step
