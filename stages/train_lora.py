"""Stage `train_lora@<aspect>`."""

import click

from stages.command import stage
from versat2i.settings import compute, params
from versat2i.work import engine


@click.command()
@click.argument("aspect")
@stage
def main(aspect: str) -> str:
    """Train the expert of ASPECT on its selected images.

    \b
    Example:
        python -m stages.train_lora geometry
    """
    settings, machine = params.load(), compute.load()
    rule = params.entry(settings.train_lora, aspect, "train_lora")

    from versat2i.train import task  # torch and diffusers take seconds to import

    recipe = task.Recipe(settings, machine)
    (made,) = engine.run(recipe, [aspect], machine, f"train_lora@{aspect}", recipe.reads)
    made.put("train_lora", aspect)
    return f"{len(made.losses)} steps of {rule.batch_size}, rank {rule.rank},{made.source}"


if __name__ == "__main__":
    main()
