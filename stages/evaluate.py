"""Stage `evaluate@<variant>`."""

import click

from stages.command import stage
from versat2i.formats import tables
from versat2i.rewards.common import plugins
from versat2i.settings import compute, params
from versat2i.work import engine, files, places, progress, store


@click.command()
@click.argument("variant")
@stage
def main(variant: str) -> str:
    """Draw the images of VARIANT for the evaluation prompts and score them with every evaluator.

    \b
    Example:
        python -m stages.evaluate mixture
    """
    plugins.check()
    settings, machine = params.load(), compute.load()
    options = settings.evaluate

    from versat2i.adapters import loading
    from versat2i.evaluate import score
    from versat2i.generate import painter  # torch and diffusers take seconds to import
    from versat2i.generate import plan as plans

    model = settings.model.first if variant == params.FIRST else settings.model
    prepare = None if variant in (params.BASE, params.FIRST) else loading.Put(places.adapter(variant))
    texts = tables.texts(places.prompts(options.split))
    plan = plans.plan(texts, options.per_prompt, options.prompts_per_shard)
    safety = settings.generate.safety
    recipe = painter.Recipe(model, prepare, options, settings.seed, machine, "evaluate", safety)
    evaluators = score.of_aspects(settings) + score.of_judges(settings)
    reads = [*settings.model.folders, *([] if variant == "base" else [places.adapter(variant)])]
    results = engine.run(recipe, plan, machine, f"evaluate@{variant}", lambda _: reads)
    drawn = 0
    with files.replaced(places.evaluation(variant)) as out:
        images = out / "images"
        for shard, piece, new in progress.track(results, f"evaluate@{variant}", len(plan)):
            store.assemble(piece, images)
            drawn += new * len(shard.keys)
        questions = tables.read("questions", places.questions(options.split))
        scores = score.score(images, evaluators, texts, questions, machine)
        tables.write("evaluation", scores, out / "scores.parquet", score.measures(evaluators))
    return f"{sum(len(shard.keys) for shard in plan)} images, {drawn} of them drawn now,"


if __name__ == "__main__":
    main()
