"""Stage `mix@<variant>`."""

import click

from stages.command import stage
from versat2i.settings import compute, params
from versat2i.settings.training import foreign_loras
from versat2i.work import engine


@click.command()
@click.argument("variant")
@stage
def main(variant: str) -> str:
    """Unite the experts into VARIANT: the gated mixture, or a merge it is measured against.

    \b
    Examples:
        python -m stages.mix mixture
        python -m stages.mix uniform
    """
    settings, machine = params.load(), compute.load()

    from versat2i.mix import task  # torch and diffusers take seconds to import

    recipe = task.Recipe(settings, machine)
    (made,) = engine.run(recipe, [variant], machine, f"mix@{variant}", recipe.reads)
    made.put("mix", variant)
    experts = len(settings.aspects) + len(foreign_loras(settings.mix[variant]))
    return f"{experts} experts, {len(made.losses)} steps,{made.source}"


if __name__ == "__main__":
    main()
