"""Stage `score@<aspect>`."""

import click
import pandas as pd

from stages.command import stage
from versat2i.formats import tables
from versat2i.rewards.common import plugins, registry, scoring
from versat2i.settings import compute, params
from versat2i.work import engine, parcels, places, progress


@click.command()
@click.argument("aspect")
@stage
def main(aspect: str) -> str:
    """Score every candidate with the evaluator of ASPECT.

    \b
    Example:
        python -m stages.score geometry
    """
    plugins.check()
    settings, machine = params.load(), compute.load()
    evaluator = params.entry(settings.rewards, aspect, "rewards")
    texts = tables.texts(places.prompts("train"))
    questions = tables.read("questions", places.questions("train"))
    recipe = scoring.Recipe(aspect, evaluator, texts, questions, machine)
    units = scoring.units(places.IMAGES, registry.from_params(aspect, evaluator))
    results = engine.run(recipe, units, machine, f"score@{aspect}", parcels.shards)
    pieces = list(progress.track(results, f"score@{aspect}", len(units)))
    scores = pd.concat([table for table, _ in pieces], ignore_index=True)
    scoring.expect_all(scores, texts, places.IMAGES)
    measure = registry.measure(aspect, evaluator)  # not recipe(): it hashes a model folder
    tables.write("scores", scores, places.scores(aspect), [measure])
    abstained = int(scores["abstained"].notna().sum())
    now = sum(len(table) for table, new in pieces if new)
    made = f"{len(scores)} images by {evaluator.evaluator} ({measure.licence}), {now} of them scored now"
    return f"{made}, {abstained} abstained,"


if __name__ == "__main__":
    main()
