"""Stage `prompts`."""

from functools import partial

import click

from stages.command import stage
from versat2i.formats import metrics, tables
from versat2i.prompts import sources
from versat2i.settings import compute, params
from versat2i.work import files, places, progress


@click.command()
@stage
def main() -> str:
    """Write the prompts and questions of the train, dev and eval splits.

    \b
    Example:
        python -m stages.prompts
    """
    splits = sources.collect(params.load().prompts, partial(progress.track, every=50), compute.load())
    with files.replaced(places.DATA / "prompts") as prompts, files.replaced(places.DATA / "questions") as questions:
        for split, (texts, asked, _) in splits.items():
            tables.write("prompts", texts, prompts / f"{split}.parquet")
            tables.write("questions", asked, questions / f"{split}.parquet")
    counts = {split: numbers for split, (_, _, numbers) in splits.items()}
    metrics.write_json(counts, places.metrics("prompts"))
    return ", ".join(f"{numbers['prompts']} {split} prompts" for split, numbers in counts.items())


if __name__ == "__main__":
    main()
