"""How much of what the embedded model is asked for does it draw? Read back by the perception module."""

import random
from pathlib import Path

import click
import numpy as np
import pandas as pd
import yaml

from versat2i.formats import shards
from versat2i.generate import painter as painting
from versat2i.generate import plan as plans
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone
from versat2i.prompts.records import prompt_id
from versat2i.rewards.faithfulness.scoring import accuracy_by_type, correct
from versat2i.seeds import stable_seed
from versat2i.settings.params import Model, Sampling
from versat2i.shapes.pretraining.pretrain import CONFIG, MODEL
from versat2i.shapes.world import grammar
from versat2i.shapes.world.answering import answer_scene
from versat2i.shapes.world.perception import perceive
from versat2i.shapes.world.questions import questions
from versat2i.work import places


def some_prompts(amount: int, held_out: bool) -> dict[str, str]:
    """Random prompts, prompt_id -> text; with `held_out` each has a combination that training never showed."""
    rng = random.Random(stable_seed("accuracy"))
    found: dict[str, str] = {}
    while len(found) < amount:
        text = grammar.phrase(grammar.sample(rng, held_out), rng)
        found[prompt_id(text)] = text
    return found


def sampled(model: Backbone, sampling: dict, amount: int, held_out: bool) -> tuple[np.ndarray, list[str]]:
    """One image of each of some prompts, ``uint8 [amount, height, width, 3]``, and the prompts."""
    texts = some_prompts(amount, held_out)
    painter = painting.Painter(model, Sampling(**sampling, batch_size=64), seed=0)
    drawn = [candidate for shard in plans.plan(texts, 1, 64) for candidate in painter.candidates(shard)]
    return np.stack([c.image for c in drawn]), [texts[c.prompt_id] for c in drawn]


def own_samples(model: Backbone, amount: int) -> tuple[np.ndarray, list[str]]:
    """`sampled` as the embedded model's recipe says to draw, of combinations that it was trained on."""
    return sampled(model, yaml.safe_load(CONFIG.read_text())["sampling"], amount, held_out=False)


def evaluated(root: Path) -> dict[str, list[shards.Candidate]]:
    """variant -> images that a finished run in that folder evaluated, in the same order of prompts and seeds."""
    folders = sorted((root / places.evaluation("any").parent).iterdir())
    return {
        folder.name: sorted(shards.read_all(folder / "images"), key=lambda each: (each.prompt_id, each.seed))
        for folder in folders
    }


def answers(images: np.ndarray, texts: list[str]) -> pd.DataFrame:
    """One row a question about each image: ``element_type, expected, answer``."""
    rows = []
    for image, text in zip(images, texts, strict=True):
        scene = perceive(image)
        for asked in questions(prompt_id(text), grammar.parse(text)):
            said = answer_scene(scene, str(asked["question"]), list(asked["choices"]))
            rows.append((asked["element_type"], asked["answer"], said))
    return pd.DataFrame(rows, columns=["element_type", "expected", "answer"])


def by_element(asked: pd.DataFrame) -> pd.Series:
    """Share of questions right by element type, and over all of them (`all`)."""
    return pd.concat([accuracy_by_type(asked), pd.Series({"all": correct(asked).mean()})])


@click.command()
@click.argument("folder", default=MODEL, type=Path)
@click.option("--prompts", default=300, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--held-out/--seen", default=True, show_default=True, help="Combinations that training never showed.")
def main(folder: Path, prompts: int, threads: int, held_out: bool) -> None:
    """Report the share of questions right by element.

    \b
    Example:
        python -m bench.accuracy --prompts 300
    """
    settings = yaml.safe_load(CONFIG.read_text())["sampling"]
    model = diffusion.load(Model(path=str(folder), dtype="float32", threads=threads))
    asked = answers(*sampled(model, settings, prompts, held_out))
    click.echo(by_element(asked).round(3).to_string())


if __name__ == "__main__":
    main()
