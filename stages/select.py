"""Stage `select@<aspect>`."""

import click
import pandas as pd

from stages.command import stage
from versat2i import layout, params, picking, rewards, selection, tables, work

REJECTED = 12  # thumbnails for the report
BINS = 20  # of the histogram for `dvc plots`


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
    higher = _higher_is_better(settings, aspect)
    scores = tables.read("scores", layout.scores(aspect))
    guards = [_merits(settings, other) for other in rule.guard]
    limits = rule.threshold.model_dump()
    threshold = selection.cutoff(scores, **limits, higher_is_better=higher)
    picks = selection.pick(
        scores,
        **limits,
        per_prompt=rule.per_prompt,
        margin=rule.margin,
        min_selected=rule.min_selected,
        higher_is_better=higher,
        guards=guards,
        label=f"select@{aspect}",
    )
    picks = selection.rivals(scores, picks, higher_is_better=higher, guards=guards)
    rejected = selection.rejected(scores, picks, REJECTED, higher_is_better=higher)
    with work.replaced(layout.selected(aspect)) as out:
        picking.copy(layout.IMAGES, picks, rejected, tables.texts(layout.prompts("train")), out)
    summary = selection.summary(scores, picks, threshold=threshold)
    layout.write_json(summary, layout.metrics("select", aspect))
    layout.write_csv(selection.distribution(scores, picks, BINS), layout.plot("select", aspect))
    return f"{len(picks)} of {len(scores)}, mean {summary['pool_mean']:.3f} -> {summary['picks_mean']:.3f},"


def _higher_is_better(settings: params.Params, aspect: str) -> bool:
    return rewards.from_params(aspect, params.entry(settings.rewards, aspect, "rewards")).higher_is_better


def _merits(settings: params.Params, aspect: str) -> pd.DataFrame:
    scores = tables.read("scores", layout.scores(aspect))
    return selection.merits(scores, higher_is_better=_higher_is_better(settings, aspect))


if __name__ == "__main__":
    main()
