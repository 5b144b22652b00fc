"""Unite experts: the gated mixture, the static merges, one LoRA taught by them all, or one trained on everything."""

from pathlib import Path

import pandas as pd
from pydantic import BaseModel

from versat2i.adapters import foreign, lora, merges, mixture_files
from versat2i.formats import tables
from versat2i.mix import distillation, gates
from versat2i.models import diffusion
from versat2i.settings.compute import Compute
from versat2i.settings.params import Model, Params, entry
from versat2i.settings.training import Constant, Distilled, Gates, Joint, Merge, TrainLora, Uniting, foreign_loras
from versat2i.train import expert, loop
from versat2i.train.checkpoint import Checkpoint
from versat2i.train.kept import Result
from versat2i.work import files, store
from versat2i.work import fingerprint as fingerprints
from versat2i.work import identity as identities


def unite(
    variant: str,
    settings: Params,
    adapters: dict[str, Path],
    selected: dict[str, Path],
    key: str,
    out: Path,
    machine: Compute,
) -> Result:
    """Make a union of experts.

    Args:
        variant: its name in params: a section of `mix`.
        settings: all params.
        adapters: aspect -> folder of its expert.
        selected: aspect -> folder of its selected images.
        key: their `fingerprint`, under which the state is kept while training.
        out: the folder to write the union to.
        machine: how and where to train.

    Returns:
        metrics, the loss of each step (kind `losses`, empty for a merge), and what to call once the
        outputs are in place.
    """
    rule, state = entry(settings.mix, variant, "mix"), checkpoint(key)
    if isinstance(rule, Joint):
        return _joint(settings, selected, state, out, machine)
    experts, folders = _experts(rule, adapters, settings.model, machine), list(selected.values())
    if isinstance(rule, Gates):
        mixed, identity, curve = gates.train_mixture(
            settings.model, experts, folders, rule, settings.seed, state, machine, variant
        )
        mixture_files.save(mixed, out, identity)
        return loop.summary(curve) | gates.gate_summary(mixed), curve, state.remove
    if isinstance(rule, Distilled):
        adapter, curve = distillation.distil(
            settings.model, experts, folders, rule, settings.seed, state, machine, variant
        )
        lora.write(adapter, out)
        return loop.summary(curve) | {"rank": adapter.rank}, curve, state.remove
    if isinstance(rule, Constant):
        merged = merges.weighted(experts, rule.weights, variant)
    else:
        merged = merges.merge(rule.kind, experts, settings.seed)
    lora.write(merged, out)
    return {"rank": merged.rank}, pd.DataFrame(columns=tables.SCHEMAS["losses"].names), lambda: None


def checkpoint(key: str) -> Checkpoint:
    """Where the state of a union's training is kept, by its `fingerprint`."""
    return Checkpoint(store.Store("mix").folder / f"{key}.pt")


def fingerprint(variant: str, settings: Params, adapters: dict[str, Path], selected: dict[str, Path]) -> str:
    """Hash of all that a union depends on: a merge of the experts alone, what is trained of how and on what too.

    Args: as for `unite`.
    """
    rule = entry(settings.mix, variant, "mix")
    inputs = {aspect: identities.of(folder) for aspect, folder in adapters.items()}
    inputs |= {f"foreign {name}": foreign.identity(Path(path)) for name, path in foreign_loras(rule).items()}
    rules: list[BaseModel] = [rule]
    if not isinstance(rule, Merge | Constant):
        inputs |= {f"selected {aspect}": files.folder_hash(folder) for aspect, folder in selected.items()}
    if isinstance(rule, Joint):
        rules += [settings.train_lora[aspect] for aspect in settings.aspects]
    model = settings.model.model_dump() | diffusion.identity(settings.model)
    return fingerprints.of(
        [__name__],
        seed=settings.seed,
        model=model,
        rules=[each.model_dump(exclude={"checkpoint_every"}) for each in rules],
        aspects=list(adapters),  # in their order, which is that of the experts in the union
        inputs=inputs,
    )


def _experts(rule: Uniting, adapters: dict[str, Path], settings: Model, machine: Compute) -> list[lora.Adapter]:
    """The experts of the aspects, then those made elsewhere.

    Raises:
        ValueError: one is missing or damaged, or was made for another base model.
    """
    found = [lora.read(folder, aspect) for aspect, folder in adapters.items()]
    base = diffusion.identity(settings)
    for adapter, folder in zip(found, adapters.values(), strict=True):
        lora.check_base(adapter.metadata, base, folder)
    if not rule.foreign:
        return found
    model = diffusion.load(settings, machine)
    return found + [foreign.read(Path(path), name, model) for name, path in rule.foreign.items()]


def joint_settings(settings: Params) -> TrainLora:
    """One LoRA with the capacity and the steps of all experts together."""
    rules = [settings.train_lora[aspect] for aspect in settings.aspects]
    totals = {name: sum(getattr(rule, name) for rule in rules) for name in ("rank", "alpha", "steps")}
    return rules[0].model_copy(update=totals)


def _joint(settings: Params, selected: dict[str, Path], checkpoint: Checkpoint, out: Path, machine: Compute) -> Result:
    rule, folders = joint_settings(settings), list(selected.values())
    adapter, curve = expert.train_lora(settings.model, folders, rule, settings.seed, "joint", checkpoint, machine)
    lora.write(adapter, out)
    return loop.summary(curve) | {"rank": adapter.rank}, curve, checkpoint.remove
