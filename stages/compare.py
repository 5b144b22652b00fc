"""Stage `compare`."""

import click

from stages.command import stage
from versat2i import comparison, evaluation, gallery, layout, params, tables

SHOWN = 8  # prompts in the grid of samples for `dvc plots`


@click.command()
@stage
def main() -> str:
    """Compare all variants with the base on the same prompts and seeds.

    \b
    Example:
        python -m stages.compare
    """
    settings = params.load()
    options = settings.evaluate
    folders = {variant: layout.evaluation(variant) for variant in options.variants}
    found = {variant: tables.read("evaluation", folder / "scores.parquet") for variant, folder in folders.items()}
    scores = {variant: evaluation.by_metric(table) for variant, table in found.items()}
    metrics = evaluation.metric_names(evaluation.of_aspects(settings))
    table = comparison.compare(scores, metrics=metrics, seed=settings.seed, resamples=options.resamples)
    elements = {variant: evaluation.by_element(table) for variant, table in found.items()}
    sources = tables.read("prompts", layout.prompts(options.split)).set_index("prompt_id")["source"]
    groups = comparison.by_group(scores, sources, metrics=metrics, seed=settings.seed, resamples=options.resamples)
    # first, since it reads images: nothing is written unless all that is read is sound
    gallery.show(list(options.variants), layout.prompts(options.split), SHOWN, layout.SAMPLES)
    layout.write_json(table, layout.metrics("evaluate"))
    layout.write_json(elements, layout.metrics("elements"))
    layout.write_json(groups, layout.metrics("groups"))
    layout.write_csv(comparison.gains(table), layout.plot("gains"))
    return f"{len(scores)} variants"


if __name__ == "__main__":
    main()
