"""Stage `prompts`."""

from functools import partial

import click

from stages.command import stage
from versat2i.formats import metrics, tables
from versat2i.prompts import lengths, sources
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
    settings = params.load()
    readers = lengths.readers(settings.model)  # first: writing prompts may take hours
    splits = sources.collect(settings.prompts, partial(progress.track, every=50), compute.load())
    with files.replaced(places.DATA / "prompts") as prompts, files.replaced(places.DATA / "questions") as questions:
        for split, (texts, asked, _) in splits.items():
            tables.write("prompts", texts, prompts / f"{split}.parquet")
            tables.write("questions", asked, questions / f"{split}.parquet")
    counts = {}
    for split, (texts, asked, numbers) in splits.items():
        cuts = lengths.cut(dict(zip(texts["prompt_id"], texts["text"], strict=True)), readers)
        counts[split] = numbers | (lengths.counts(asked, cuts) if cuts else {})
        if cuts:
            click.echo(f"prompts: {split}: {lengths.warning(cuts)}", err=True)
    metrics.write_json(counts, places.metrics("prompts"))
    return ", ".join(f"{numbers['prompts']} {split} prompts" for split, numbers in counts.items())


if __name__ == "__main__":
    main()
