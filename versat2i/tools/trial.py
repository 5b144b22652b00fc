"""Try a base model in its dtype: an image, the gradients of training, a LoRA in plain diffusers."""

import gc
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from versat2i.adapters import loading as adapters
from versat2i.adapters import lora
from versat2i.formats import tensors
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone, loading, quantized, running, schedules
from versat2i.settings.compute import Compute
from versat2i.settings.params import Model, Params, Sampling
from versat2i.settings.training import TrainLora
from versat2i.tools import export
from versat2i.tools.doctor import Finding
from versat2i.train import loop, losses
from versat2i.train.examples import Examples
from versat2i.work import places

PROMPT = "a red circle above a blue square"  # in words that the embedded model knows too
SEEDS = (0, 1)  # of the images drawn: a batch, and a pair for a contrast
FEW = 4  # steps, where two ways to draw are compared
LEAST_CONTRAST = 2.0  # standard deviation of an image's pixels, of 255; a blank image has 0
LEAST_COSINE = 0.99  # of a gradient and the one in float32
HALF = 50  # steps of a sampler before the middle one
MOST_NOISE_APART = 0.02  # a shift of 3 that is left out makes 0.25
MOST_APART = 0.3  # of what a LoRA changes: rounding to bfloat16 was up to 0.2, an alpha that is not read is 1


@dataclass(frozen=True)
class Tried:
    """Results of a model in the dtype of params.

    Attributes:
        family: its class.
        origin: what an adapter says of it.
        latents: of the images drawn, ``[2, channels, height, width]``.
        gradients: of each training rule's loss, as one vector; or what went wrong.
        base: latents at few steps.
        changed: the same with a LoRA.
        files: that LoRA, exported.
    """

    family: type[Backbone]
    origin: dict[str, str]
    latents: Tensor
    gradients: dict[str, Tensor | Finding]
    base: Tensor
    changed: Tensor
    files: list[Path]


def safely(what: str, check: Callable[[], Finding]) -> Finding:
    """A check whose own error is its finding, whatever a library raises: that is what it looks for."""
    try:
        return check()
    except Exception as error:
        return _wrong(what, error)


def _wrong(what: str, error: Exception) -> Finding:
    kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
    return Finding(what, "wrong", f"{kind}{' '.join(str(error).split())}")


def findings(settings: Params, machine: Compute) -> Iterator[Finding]:
    """Try the model of params; yields each finding as it is made."""
    try:
        model = diffusion.load(settings.model, machine)
    except ValueError as error:
        yield _wrong("model", error)
        return
    family = f"family {model.family}" if model.family else "of no family that other tools have a name for"
    yield Finding("model", f"{model.pipeline_class}, {family}, {settings.model.dtype} on {model.device}")
    yield safely("schedule", partial(_noised_alike, model, settings.generate.size))
    with tempfile.TemporaryDirectory() as folder:
        tried: list[Tried] = []
        yield safely("image", partial(_try, model, settings, Path(folder), tried))
        del model  # two of them may not fit
        _free()
        if tried:
            yield from _gradients_agree(settings, tried[0], machine)
            yield safely("export", partial(_drawn_elsewhere, settings, tried[0], machine))


def _free() -> None:
    """Give back the memory of networks that are no longer used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _try(model: Backbone, settings: Params, folder: Path, tried: list[Tried]) -> Finding:
    """Draw, and do all else that needs the model in this dtype; what comes of it goes to `tried`."""
    prompts, empty, sampling = model.embed([PROMPT] * len(SEEDS)), model.embed([""]), settings.generate
    latents = model.draw(prompts, empty, list(SEEDS), sampling.steps, sampling.guidance_scale, sampling.size)
    image = model.decode(latents)[0]
    if image.std() < LEAST_CONTRAST:
        return Finding("image", "blank", _other_dtype(settings.model, str(model.device)))
    path = places.home() / "check.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)

    model.denoiser.to(model.device)  # with `cpu_offload` it waits elsewhere
    rules = _rules(settings)
    gradients = {aspect: _tried_gradient(model, rule, latents) for aspect, rule in rules.items()}
    base, changed = _with_lora(model, sampling, folder / "check")
    files = export.export(folder / "check", folder / "exported")
    tried.append(Tried(type(model), model.origin, latents, gradients, base, changed, files))
    height, width = image.shape[:2]
    return Finding("image", f"{width}x{height} in {sampling.steps} steps, look at {path}")


def _other_dtype(model: Model, device: str) -> str:
    """Advice for a dtype that does not hold what a model computes."""
    wide = "bfloat16" not in (model.dtype, model.mixed_precision) and running.multiplies_in("bfloat16", device)
    where = "model.mixed_precision" if model.mixed_precision else "model.dtype"
    return f"set {where}: {'bfloat16' if wide else 'float32'} in params.yaml"


# --------------------------------------------------------------------------- training


def _noised_alike(model: Backbone, size: int | None) -> Finding:
    """Whether training and the sampler use the same noise schedule, compared in the middle of both."""
    sampler = type(model.pipe.scheduler).from_config(model.pipe.scheduler.config)
    schedule, shape = model.schedule, torch.Size((1, *model.latent_shape(size)))
    times = model.times(torch.tensor([0.5]), shape)
    ours = schedule.diffuse(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), times)[0].item()
    if isinstance(schedule, schedules.Flow):
        shift = model.shift(shape)
        sampler.set_timesteps(2 * HALF + 1, **({} if shift is None else {"mu": shift}))
        theirs = sampler.timesteps[HALF].item() / sampler.config.num_train_timesteps
    else:
        theirs = (1 - sampler.alphas_cumprod[int(times)]).sqrt().item()
    found = f"{type(sampler).__name__}: noise {theirs:.3f} in the middle of its times, {ours:.3f} in training"
    advice = (
        f"training would learn other times than are drawn: report {type(sampler).__name__}, or name another scheduler"
    )
    return Finding("schedule", found, None if abs(theirs - ours) <= MOST_NOISE_APART else advice)


def _rules(settings: Params) -> dict[str, TrainLora]:
    """The training rules by aspect; of those that differ in numbers only, the first."""
    found: dict[tuple[object, ...], str] = {}
    for aspect in settings.aspects:
        rule = settings.train_lora[aspect]
        found.setdefault((rule.targets, rule.objective, rule.min_snr is None), aspect)
    return {aspect: settings.train_lora[aspect] for aspect in found.values()}


def _tried_gradient(model: Backbone, rule: TrainLora, latents: Tensor) -> Tensor | Finding:
    try:
        return gradient(model, rule, latents)
    except (ValueError, RuntimeError) as error:
        return _wrong("training", error)


def gradient(model: Backbone, rule: TrainLora, latents: Tensor) -> Tensor:
    """The gradient of the first training step by a rule, as one vector on the CPU.

    Few images stand for a batch: their loss is divided as the mean over a whole one would be.

    Args:
        model: without an adapter; it is left so.
        rule: of `train_lora`.
        latents: of two images, ``[2, channels, height, width]``.
    """
    parameters = lora.attach(model.denoiser, "check", rule.rank, rule.alpha, rule.targets, 0)
    try:
        picks = latents[None].float() if rule.objective == "contrast" else latents.float()
        batch = Examples(picks, model.embed([PROMPT] * len(picks)), model.embed([""]), torch.ones(len(picks)))
        loss = losses.objective(model, rule, partial(lora.detached, model.denoiser))
        value = loss(batch, torch.Generator().manual_seed(0))
        loop.backward(value * min(1.0, len(picks) / rule.batch_size), parameters)
        return torch.cat([parameter.grad.flatten().cpu() for parameter in parameters if parameter.grad is not None])
    finally:
        model.denoiser.unload_lora()


def _gradients_agree(settings: Params, tried: Tried, machine: Compute) -> Iterator[Finding]:
    """A finding for each rule: whether the dtype of params gives the gradient that float32 gives."""
    model, rules = settings.model, _rules(settings)
    exact = model.model_copy(update={"dtype": "float32", "mixed_precision": None})
    whole = None if exact == model else diffusion.load(exact, machine)
    for aspect, found in tried.gradients.items():
        if isinstance(found, Finding):
            yield found
        elif whole is None:
            yield Finding("training", f"{aspect}: gradients are in float32")
        else:
            whole.denoiser.to(whole.device)
            yield safely("training", partial(_agrees, aspect, found, whole, rules[aspect], tried.latents, model))
    del whole
    _free()


def _agrees(aspect: str, found: Tensor, whole: Backbone, rule: TrainLora, latents: Tensor, model: Model) -> Finding:
    cosine = torch.cosine_similarity(found, gradient(whole, rule, latents), dim=0).item()
    told = f"{aspect}: gradients in {model.mixed_precision or model.dtype} and float32 have a cosine of {cosine:.4f}"
    return Finding("training", told, None if cosine >= LEAST_COSINE else _other_dtype(model, str(whole.device)))


# --------------------------------------------------------------------------- export


def _with_lora(model: Backbone, sampling: Sampling, folder: Path) -> tuple[Tensor, Tensor]:
    """Latents without and with a LoRA whose alpha is not its rank, which is saved as trained ones are."""
    base = _latents(model, sampling)
    lora.attach(model.denoiser, "check", 2, 1.0, "attention", 0)
    parts, generator = dict(model.denoiser.named_parameters()), torch.Generator().manual_seed(0)
    for name, up in parts.items():
        if ".lora_B." in name:  # an update about as large as its input, whatever the layer's width
            width = parts[name.replace(".lora_B.", ".lora_A.")][0].numel()
            up.data = (2.0 / width**0.5 * torch.randn(up.shape, generator=generator)).to(up)
    try:
        lora.write(lora.extract(model.denoiser, "check", 1.0, {**model.origin, "adapter": "check"}), folder)
        return base, _latents(model, sampling)
    finally:
        model.denoiser.unload_lora()


def _shown_as(path: Path) -> str:
    """The family that A1111 takes a file's LoRA to be of (its `extensions-builtin/Lora/network.py`)."""
    _, metadata = tensors.read(path)
    if metadata.get("ss_base_model_version", "").startswith("sdxl_"):
        return "sdxl"
    return "sd2" if metadata.get("ss_v2") == "True" else "sd1"


def _latents(model: Backbone, sampling: Sampling) -> Tensor:
    prompt, empty = model.embed([PROMPT]), model.embed([""])
    drawn = model.draw(prompt, empty, [SEEDS[0]], FEW, sampling.guidance_scale, sampling.size)
    return drawn.float()


def _drawn_elsewhere(settings: Params, tried: Tried, machine: Compute) -> Finding:
    """Load the exported files into a pipeline of plain diffusers, and compare what it draws."""
    model, family = settings.model, tried.family
    pipe = loading.pipeline(model, family)
    pipe.set_progress_bar_config(disable=True)
    device = machine.torch_device()
    if model.quantize is not None:
        quantized.quantize(getattr(pipe, family.denoiser_name), device, loading.DTYPES[model.dtype])
    running.place(pipe, device, machine)
    running.mixed(getattr(pipe, family.denoiser_name), device, model.mixed_precision)
    plain = family(pipe, {}, machine)
    for path in tried.files:
        if "comfyui" in path.name:  # of most families plain diffusers cannot read ComfyUI's names
            adapters.put_foreign(plain, path)
        else:
            pipe.load_lora_weights(str(path.parent), weight_name=path.name)
        found = _latents(plain, settings.generate)
        pipe.unload_lora_weights()
        apart = (found - tried.changed).norm() / (tried.changed - tried.base).norm()
        if not apart <= MOST_APART:
            names = {"kohya": "kohya's", "comfyui": "ComfyUI's"}
            form = next((form for part, form in names.items() if part in path.name), "diffusers'")
            advice = f"do not publish what `versat2i export` writes in {form} names for this model, and report it"
            return Finding("export", f"plain diffusers draws {apart:.0%} of a LoRA's effect apart", advice)
        if "kohya" in path.name and (shown := _shown_as(path)) != tried.origin.get("family", shown):
            told = f"A1111 takes {path.name} for {shown}, it is {tried.origin['family']}"
            return Finding("export", told, "do not publish it for A1111, which hides it, and report this model")
    return Finding("export", "plain diffusers draws the same from an exported LoRA")
