"""Unite experts: the gated mixture, the static merges, or one LoRA trained on everything."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from versat2i.adapters import lora, merges, mixture, mixture_files
from versat2i.formats import tables
from versat2i.models import diffusion
from versat2i.seeds import stable_seed
from versat2i.settings.params import Mix, Model, Params, TrainLora
from versat2i.train import expert, loop, losses
from versat2i.train.kept import Result
from versat2i.train.loop import Checkpoint, Examples
from versat2i.work import store
from versat2i.work import watch as tracking


def unite(
    variant: str,
    settings: Params,
    adapters: dict[str, Path],
    selected: dict[str, Path],
    key: str,
    out: Path,
    device: str,
) -> Result:
    """Make a union of experts.

    Args:
        variant: `mixture`, `joint` or a merge.
        settings: all params.
        adapters: aspect -> folder of its expert.
        selected: aspect -> folder of its selected images.
        key: their `fingerprint`, under which the state is kept while training.
        out: the folder to write the union to.
        device: to train on.

    Returns:
        metrics, the loss of each step (kind `losses`, empty for a merge), and what to call once the
        outputs are in place.
    """
    checkpoint = Checkpoint(store.Store("mix").folder / f"{key}.pt")
    if variant == "mixture":
        return _mixture(settings, adapters, selected, checkpoint, out, device)
    if variant == "joint":
        return _joint(settings, selected, checkpoint, out, device)
    merged = merges.merge(variant, _read(adapters, settings.model), settings.seed)
    lora.write(merged, out)
    return {"rank": merged.rank}, pd.DataFrame(columns=tables.SCHEMAS["losses"].names), lambda: None


def fingerprint(variant: str, settings: Params, adapters: dict[str, Path], selected: dict[str, Path]) -> str:
    """Hash of all that a union depends on: a merge of the experts alone, what is trained of how and on what too.

    Args: as for `unite`.
    """
    inputs = {aspect: store.folder_hash(folder) for aspect, folder in adapters.items()}
    if variant in ("mixture", "joint"):
        inputs |= {f"selected {aspect}": store.folder_hash(folder) for aspect, folder in selected.items()}
    rules = {
        "mixture": settings.mix.model_dump(exclude={"variants"}),
        "joint": [settings.train_lora[aspect].model_dump() for aspect in settings.aspects],
    }
    model = settings.model.model_dump() | diffusion.identity(settings.model)
    return store.fingerprint(
        [__name__],
        variant=variant,
        seed=settings.seed,
        model=model,
        rule=rules.get(variant),
        aspects=list(adapters),  # in their order, which is that of the experts in the union
        inputs=inputs,
    )


def _read(adapters: dict[str, Path], model: Model) -> list[lora.Adapter]:
    """The experts.

    Raises:
        ValueError: one is missing or damaged, or was made for another base model.
    """
    found = [lora.read(folder, aspect) for aspect, folder in adapters.items()]
    base = diffusion.identity(model)
    for adapter, folder in zip(found, adapters.values(), strict=True):
        lora.check_base(adapter.metadata, base, folder)
    return found


def _mixture(
    settings: Params,
    adapters: dict[str, Path],
    selected: dict[str, Path],
    checkpoint: Checkpoint,
    out: Path,
    device: str,
) -> Result:
    folders = list(selected.values())
    mixed, identity, curve = train_mixture(
        settings.model, _read(adapters, settings.model), folders, settings.mix, settings.seed, checkpoint, device
    )
    mixture_files.save(mixed, out, identity)
    return loop.summary(curve) | gate_summary(mixed), curve, checkpoint.remove


def train_mixture(
    settings: Model,
    adapters: list[lora.Adapter],
    selected: list[Path],
    mix_settings: Mix,
    seed: int,
    checkpoint: Checkpoint,
    device: str,
) -> tuple[mixture.Mixture, dict[str, str], pd.DataFrame]:
    """Train the gates of a mixture of frozen experts on the union of their selected sets.

    ``L = L_diffusion + alpha L_balance`` (MoLE, Wu et al. 2024, eq. 9). Once trained, the gates see every
    pick again: what they say on average is that of the trained gates, in a run that was stopped too.

    Returns:
        the mixture, its metadata, and the loss of each step (kind `losses`).
    """
    model = diffusion.load(settings, device)
    data = expert.examples(model, selected, mix_settings.objective)
    mixed = mixture.attach(model.denoiser, adapters, mix_settings.scope, mix_settings.scale)
    model.masking = mixed.masking
    model.denoiser.train()

    fit = expert.objective(model, mix_settings, mixed.silenced)

    def loss(batch: Examples, generator: torch.Generator) -> Tensor:
        return fit(batch, generator) + mix_settings.balance * mixed.balance_loss()

    parameters, own_seed = mixed.parameters(), stable_seed(seed, "mix")
    with tracking.watching("mixture", model, data) as watch:
        curve = loop.train(parameters, loss, data, mix_settings, own_seed, checkpoint, "mixture", watch)
    mixed.reset()
    with torch.no_grad():
        once = mix_settings.model_copy(update={"steps": -(-len(data) // mix_settings.batch_size)})
        for _, batch, generator in loop.batches(data, once, stable_seed(seed, "gates"), 0):
            picks = batch.latents[:, 0] if mix_settings.objective == "contrast" else batch.latents
            losses.diffusion_loss(model, picks, batch.prompts, generator, None, mix_settings.timesteps)
    return mixed, model.identity, curve


def joint_settings(settings: Params) -> TrainLora:
    """One LoRA with the capacity and the steps of all experts together."""
    rules = [settings.train_lora[aspect] for aspect in settings.aspects]
    totals = {name: sum(getattr(rule, name) for rule in rules) for name in ("rank", "alpha", "steps")}
    return rules[0].model_copy(update=totals)


def _joint(settings: Params, selected: dict[str, Path], checkpoint: Checkpoint, out: Path, device: str) -> Result:
    rule, folders = joint_settings(settings), list(selected.values())
    adapter, curve = expert.train_lora(settings.model, folders, rule, settings.seed, "joint", checkpoint, device)
    lora.write(adapter, out)
    return loop.summary(curve) | {"rank": adapter.rank}, curve, checkpoint.remove


def gate_summary(mixed: mixture.Mixture) -> dict[str, Any]:
    """Where the gates have gone, over all that passed through them since training.

    Returns:
        the mean gate of each expert, the mean over layers of the gates' entropy in units of log N
        (1 = uniform) and of their distance from 1/N (half the sum of absolute differences, 0 to 1),
        and the mean of the learned scale and temperature.
    """
    gates = torch.stack(list(mixed.mean_gates().values()))
    amount = gates.shape[1]
    entropy = -(gates * gates.clamp_min(1e-12).log()).sum(1) / math.log(max(amount, 2))  # of one expert: 0
    distance = (gates - 1 / amount).abs().sum(1) / 2
    layers = [layer.gate for layer in mixed.layers.values()]
    means = {
        "entropy": entropy.mean(),
        "distance": distance.mean(),
        "scale": torch.stack([gate.scale.detach() for gate in layers]).mean(),
        "temperature": torch.stack([gate.log_tau.detach().exp() for gate in layers]).mean(),
    }
    names = [adapter.name for adapter in mixed.adapters]
    weights = {name: round(float(value), 6) for name, value in zip(names, gates.mean(0), strict=True)}
    return {"gate": weights} | {name: round(float(value), 6) for name, value in means.items()}
