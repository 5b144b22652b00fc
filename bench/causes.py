"""Why is an image not what its prompt asks for: by a mistake that captions have, or by inability?

And which of them does an expert undo?
"""

from collections import Counter
from itertools import combinations
from pathlib import Path

import click
import numpy as np
import pandas as pd

from bench.accuracy import evaluated, own_samples
from versat2i.formats import tables
from versat2i.models import diffusion
from versat2i.settings import params
from versat2i.settings.params import Model
from versat2i.shapes.pretraining.pretrain import MODEL
from versat2i.shapes.world import grammar
from versat2i.shapes.world.grammar import Description
from versat2i.shapes.world.perception import Scene, perceive
from versat2i.work import places

BASE = "base"
AS_SAID, OTHER = "as said", "other"
CAUSES = (AS_SAID, "background", "missing", "too many", "swap", OTHER)
"""What an image shows: what its prompt says; that with one mistake of `mistakes.WEIGHTS`; anything else, which no
caption taught, so the model was not able to draw it."""

Kinds = Counter[tuple[str | None, str | None]]


def cause(said: Description, scene: Scene) -> str:
    """Which of `CAUSES` an image shows: by its background and how many objects it has of each colour and shape."""
    asked: Kinds = Counter()
    for group in said.groups:
        asked[group.color, group.shape] += group.count
    seen: Kinds = Counter((each.color, each.shape) for each in scene.objects)
    if said.background not in (None, scene.background):
        cut_out = "black" if said.background == "white" else "white"
        return "background" if seen == asked and scene.background == cut_out else OTHER
    if seen == asked:
        return AS_SAID
    fewer = [asked - Counter({kind: amount if len(asked) > 1 else 1}) for kind, amount in asked.items()]
    more = [asked + Counter({kind: 1}) for kind in asked]
    if seen in fewer and seen:
        return "missing"
    if seen in more:
        return "too many"
    return "swap" if seen in _swapped(asked) else OTHER


def _swapped(asked: Kinds) -> list[Kinds]:
    """The kinds with the colours of two of them swapped."""
    found = []
    for one, other in combinations(asked, 2):
        kept = {kind: amount for kind, amount in asked.items() if kind not in (one, other)}
        found.append(Counter({**kept, (other[0], one[1]): asked[one], (one[0], other[1]): asked[other]}))
    return found


def causes(images: np.ndarray, texts: list[str]) -> list[str]:
    """The cause of each image, given its prompt."""
    return [cause(grammar.parse(text), perceive(image)) for image, text in zip(images, texts, strict=True)]


def shares(found: dict[str, list[str]]) -> pd.DataFrame:
    """One row a variant: the share of its images with each cause."""
    rows = {name: [np.mean(np.array(each) == cause) for cause in CAUSES] for name, each in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(CAUSES))


def flows(base: list[str], other: list[str]) -> pd.Series:
    """By cause: images that have it in base and are as said in a variant, minus those the other way round.

    Args:
        base: causes of base's images.
        other: causes of a variant's images of the same prompts and seeds.

    Returns:
        net flow as a share of all images; their sum is the variant's gain in images as said.
    """
    before, after = np.array(base), np.array(other)
    net = {
        cause: float(((before == cause) & (after == AS_SAID)).mean() - ((before == AS_SAID) & (after == cause)).mean())
        for cause in CAUSES[1:]
    }
    return pd.Series(net)


def of_run(root: Path) -> dict[str, list[str]]:
    """variant -> causes of the images that a finished run in that folder evaluated, in one order."""
    texts = tables.texts(root / places.prompts(params.load(root / "params.yaml").evaluate.split))
    return {
        variant: causes(np.stack([each.image for each in drawn]), [texts[each.prompt_id] for each in drawn])
        for variant, drawn in evaluated(root).items()
    }


@click.command()
@click.argument("folder", default=MODEL, type=Path)
@click.option("--prompts", default=400, show_default=True)
@click.option("--run", type=Path, help="A folder with a finished run, whose variants are read in place of new samples.")
def main(folder: Path, prompts: int, run: Path | None) -> None:
    """Report the share of each cause in the model's samples, or in a run's images, and what changes from base.

    \b
    Example:
        python -m bench.causes --prompts 400
        python -m bench.causes --run .
    """
    if run is None:
        model = diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
        click.echo(shares({"samples": causes(*own_samples(model, prompts))}).round(3).to_string())
        return
    found = of_run(run)
    click.echo(shares(found).round(3).to_string())
    undone = {name: flows(found[BASE], each) for name, each in found.items() if name != BASE}
    click.echo("turned into images as said, net, by what base's image of the same seed shows")
    click.echo(pd.DataFrame(undone).T.round(3).to_string())


if __name__ == "__main__":
    main()
