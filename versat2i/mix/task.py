"""A union of experts as a unit of work, which any machine can do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from versat2i.mix import unions
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params, entry
from versat2i.settings.training import foreign_loras
from versat2i.train import kept
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
    settings, adapters, selected = recipe.settings, recipe.adapters, recipe.selected
    key = unions.fingerprint(variant, settings, adapters, selected)

    def unite(out: Path) -> kept.Result:
        return unions.unite(variant, settings, adapters, selected, key, out, recipe.machine)

    return kept.make("mix", key, unite)
