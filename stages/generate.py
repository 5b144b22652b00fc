"""Stage `generate`."""

import click

from stages.command import stage
from versat2i.formats import metrics, shards, tables
from versat2i.prompts import lengths
from versat2i.settings import compute, params
from versat2i.work import engine, files, places, progress, store


@click.command()
@stage
def main() -> str:
    """Draw K candidates for every train prompt.

    \b
    Example:
        python -m stages.generate
    """
    settings, machine = params.load(), compute.load()

    from versat2i.generate import painter  # torch and diffusers take seconds to import
    from versat2i.generate import plan as plans

    texts = tables.texts(places.prompts("train"))
    cuts = lengths.cut(texts, lengths.readers(settings.model))  # first: drawing may take hours
    if cuts:
        click.echo(f"generate: {lengths.warning(cuts)}", err=True)
    plan = plans.plan(texts, settings.generate.per_prompt, settings.generate.prompts_per_shard)
    recipe = painter.Recipe(
        settings.model,
        None,
        settings.generate,
        settings.seed,
        machine,
        "generate",
        settings.generate.safety,
    )
    results = engine.run(recipe, plan, machine, "generate", lambda _: settings.model.folders)
    drawn = 0
    with files.replaced(places.IMAGES) as out:
        for shard, piece, new in progress.track(results, "generate", len(plan)):
            store.assemble(piece, out)
            drawn += new * len(shard.keys)
    counts = shards.count(places.IMAGES)
    if cuts:
        counts["cut"] = len(cuts)
    metrics.write_json(counts, places.metrics("generate"))
    flagged = f" and {counts['flagged']} flagged as unsafe" if settings.generate.safety == "drop" else ""
    return f"{counts['candidates']} candidates of {len(texts)} prompts, {drawn} of them drawn now{flagged},"


if __name__ == "__main__":
    main()
