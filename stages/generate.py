"""Stage `generate`."""

import click

from stages.command import stage
from versat2i import compute, layout, params, progress, shards, tables, work


@click.command()
@stage
def main() -> str:
    """Draw K candidates for every train prompt.

    \b
    Example:
        python -m stages.generate
    """
    settings, machine = params.load(), compute.load()

    from versat2i import generation  # torch and diffusers take seconds to import

    texts = tables.texts(layout.prompts("train"))
    plan = generation.plan(texts, settings.generate.per_prompt, settings.generate.prompts_per_shard)
    recipe = generation.Recipe(
        settings.model,
        None,
        settings.generate,
        settings.seed,
        machine.torch_device(),
        "generate",
        settings.generate.safety,
    )
    results = compute.run(recipe, plan, machine.processes("generate"))
    drawn = 0
    with work.replaced(layout.IMAGES) as out:
        for shard, piece, new in progress.track(results, "generate", len(plan)):
            work.assemble(piece, out)
            drawn += new * len(shard.keys)
    counts = shards.count(layout.IMAGES)
    layout.write_json(counts, layout.metrics("generate"))
    flagged = f" and {counts['flagged']} flagged as unsafe" if settings.generate.safety == "drop" else ""
    return f"{counts['candidates']} candidates of {len(texts)} prompts, {drawn} of them drawn now{flagged},"


if __name__ == "__main__":
    main()
