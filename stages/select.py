"""Stage `select@<aspect>`."""

import click
import pandas as pd

from stages.command import stage
from versat2i.formats import metrics, tables
from versat2i.select import chosen
from versat2i.select import rule as selection_rule
from versat2i.settings import params
from versat2i.work import files, places

REJECTED = 12  # thumbnails for the report
BINS = 20  # of the histogram for `dvc plots`


def _scores(aspect: str) -> pd.DataFrame:
    """An aspect's scores without their details, which no rule reads and which may fill the memory."""
    return tables.read("scores", places.scores(aspect), without=["details"])


@click.command()
@click.argument("aspect")
@stage
def main(aspect: str) -> str:
    """Keep each prompt's best image for ASPECT.

    \b
    Example:
        python -m stages.select geometry
    """
    settings = params.load()
    rule = params.entry(settings.select, aspect, "select")
    scored = _scores(aspect)
    (measure,) = tables.measures(places.scores(aspect))
    scores = scored
    for other, least in rule.filter.items():
        (unit,) = tables.measures(places.scores(other))
        scores = selection_rule.filtered(scores, _scores(other), unit, least, label=f"select@{aspect}")
    guards = [selection_rule.merits(_scores(other)) for other in rule.guard]
    limits = rule.threshold.model_dump()
    threshold = selection_rule.cutoff(scores, measure, **limits)
    picks = selection_rule.pick(
        scores,
        measure,
        **limits,
        per_prompt=rule.per_prompt,
        margin=rule.margin,
        min_selected=rule.min_selected,
        guards=guards,
        label=f"select@{aspect}",
    )
    picks = selection_rule.rivals(scores, picks, guards=guards)
    rejected = selection_rule.rejected(scores, picks, REJECTED)
    with files.replaced(places.selected(aspect)) as out:
        chosen.copy(places.IMAGES, picks, rejected, tables.texts(places.prompts("train")), out)
    summary = selection_rule.summary(scores, picks, threshold=threshold)
    if rule.filter:
        summary |= selection_rule.dropped(scored, scores)
    metrics.write_json(summary, places.metrics("select", aspect))
    metrics.write_csv(selection_rule.distribution(scores, picks, BINS), places.plot("select", aspect))
    return f"{len(picks)} of {len(scores)}, mean {summary['pool_mean']:.3f} -> {summary['picks_mean']:.3f},"


if __name__ == "__main__":
    main()
