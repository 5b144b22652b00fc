"""A union of experts as a unit of work, which any machine can do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from versat2i.mix import unions
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params, entry
from versat2i.settings.training import Constant, Merge, foreign_loras
from versat2i.train import group, kept
from versat2i.work import places


@dataclass(frozen=True)
class Recipe:
    """Params of the unions; makes a worker for `engine.run`."""

    settings: Params
    machine: Compute

    @property
    def adapters(self) -> dict[str, Path]:
        """Return each aspect's folder of its expert."""
        return {aspect: places.adapter(aspect) for aspect in self.settings.aspects}

    @property
    def selected(self) -> dict[str, Path]:
        """Return each aspect's folder of its picks."""
        return {aspect: places.selected(aspect) for aspect in self.settings.aspects}

    def __call__(self) -> Callable[[str], kept.Trained]:
        return partial(_united, self)

    def reads(self, variant: str) -> list[Path]:
        """List what a union reads, its checkpoint included."""
        key = unions.fingerprint(variant, self.settings, self.adapters, self.selected)
        checkpoint = unions.checkpoint(key).path
        elsewhere = [Path(path) for path in foreign_loras(entry(self.settings.mix, variant, "mix")).values()]
        own = [*self.adapters.values(), *self.selected.values()]
        return [*self.settings.model.folders, *own, *elsewhere, checkpoint]


def _united(recipe: Recipe, variant: str) -> kept.Trained:
    key = unions.fingerprint(variant, recipe.settings, recipe.adapters, recipe.selected)
    unite = partial(_unite, recipe, variant, key)
    trained = not isinstance(entry(recipe.settings.mix, variant, "mix"), Merge | Constant)
    return kept.make("mix", key, group.spread(unite, recipe.machine) if trained else unite)


def _unite(recipe: Recipe, variant: str, key: str, out: Path) -> kept.Result:
    adapters, selected = recipe.adapters, recipe.selected
    return unions.unite(variant, recipe.settings, adapters, selected, key, out, recipe.machine)
