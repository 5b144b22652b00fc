"""An expert's training as a unit of work, which any machine can do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from versat2i.adapters import lora
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params, entry
from versat2i.train import checkpoint as checkpoints
from versat2i.train import expert, group, kept, loop
from versat2i.work import places


def _checkpoint(settings: Params, aspect: str) -> checkpoints.Checkpoint:
    rule = entry(settings.train_lora, aspect, "train_lora")
    return checkpoints.of("train_lora", expert.__name__, aspect, settings, rule, [places.selected(aspect)])


@dataclass(frozen=True)
class Recipe:
    """Params of the trainings; makes a worker for `engine.run`."""

    settings: Params
    machine: Compute

    def __call__(self) -> Callable[[str], kept.Trained]:
        return partial(_trained, self)

    def reads(self, aspect: str) -> list[Path]:
        """List what the training of an aspect reads, its checkpoint included."""
        return [*self.settings.model.folders, places.selected(aspect), _checkpoint(self.settings, aspect).path]


def _trained(recipe: Recipe, aspect: str) -> kept.Trained:
    key = _checkpoint(recipe.settings, aspect).path.stem
    return kept.make("train_lora", key, group.spread(partial(_train, recipe, aspect), recipe.machine))


def _train(recipe: Recipe, aspect: str, out: Path) -> kept.Result:
    settings, checkpoint = recipe.settings, _checkpoint(recipe.settings, aspect)
    rule, selected = entry(settings.train_lora, aspect, "train_lora"), [places.selected(aspect)]
    adapter, losses = expert.train_lora(
        settings.model, selected, rule, settings.seed, aspect, checkpoint, recipe.machine
    )
    lora.write(adapter, out)
    return loop.summary(losses), losses, checkpoint.remove
