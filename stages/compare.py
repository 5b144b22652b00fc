"""Stage `compare`."""

import click

from stages.command import stage
from versat2i.compare import elements as by_elements
from versat2i.compare import grid, statistics
from versat2i.formats import metrics as metric_files
from versat2i.formats import tables
from versat2i.settings import params
from versat2i.work import places

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
    folders = {variant: places.evaluation(variant) for variant in options.variants}
    found = {variant: tables.read("evaluation", folder / "scores.parquet") for variant, folder in folders.items()}
    scores = {variant: statistics.by_metric(table) for variant, table in found.items()}
    measures = tables.measures(folders[params.BASE] / "scores.parquet")
    metrics = [measure.metric for measure in measures if measure.aspect]
    table = statistics.compare(scores, metrics=metrics, seed=settings.seed, resamples=options.resamples)
    elements = {variant: by_elements.by_element(table) for variant, table in found.items()}
    sources = tables.read("prompts", places.prompts(options.split)).set_index("prompt_id")["source"]
    groups = statistics.by_group(scores, sources, metrics=metrics, seed=settings.seed, resamples=options.resamples)
    # first, since it reads images: nothing is written unless all that is read is sound
    grid.show(list(options.variants), places.prompts(options.split), SHOWN, places.SAMPLES)
    metric_files.write_json(table, places.metrics("evaluate"))
    metric_files.write_json(elements, places.metrics("elements"))
    metric_files.write_json(groups, places.metrics("groups"))
    metric_files.write_csv(statistics.gains(table), places.plot("gains"))
    return f"{len(scores)} variants"


if __name__ == "__main__":
    main()
