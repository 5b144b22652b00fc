"""Stage `evaluate@<variant>`."""

import click

from stages.command import stage
from versat2i import compute, layout, params, progress, tables, work


@click.command()
@click.argument("variant")
@stage
def main(variant: str) -> str:
    """Draw the images of VARIANT for the evaluation prompts and score them with every evaluator.

    \b
    Example:
        python -m stages.evaluate mixture
    """
    settings, machine = params.load(), compute.load()
    options = settings.evaluate

    from versat2i import adapters, evaluation, generation  # torch and diffusers take seconds to import

    prepare = None if variant == "base" else adapters.Put(layout.adapter(variant))
    texts = tables.texts(layout.prompts(options.split))
    plan = generation.plan(texts, options.per_prompt, options.prompts_per_shard)
    device, safety = machine.torch_device(), settings.generate.safety
    recipe = generation.Recipe(settings.model, prepare, options, settings.seed, device, "evaluate", safety)
    evaluators = evaluation.of_aspects(settings) + evaluation.of_judges(settings)
    results = compute.run(recipe, plan, machine.processes("evaluate"))
    drawn = 0
    with work.replaced(layout.evaluation(variant)) as out:
        images = out / "images"
        for shard, piece, new in progress.track(results, f"evaluate@{variant}", len(plan)):
            work.assemble(piece, images)
            drawn += new * len(shard.keys)
        questions = tables.read("questions", layout.questions(options.split))
        scores = evaluation.score(images, evaluators, texts, questions)
        tables.write("evaluation", scores, out / "scores.parquet")
    return f"{sum(len(shard.keys) for shard in plan)} images, {drawn} of them drawn now,"


if __name__ == "__main__":
    main()
