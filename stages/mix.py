"""Stage `mix@<variant>`."""

import click

from stages.command import stage
from versat2i import compute, layout, params, work


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
    settings = params.load()

    from versat2i import unions  # torch and diffusers take seconds to import

    adapters = {aspect: layout.adapter(aspect) for aspect in settings.aspects}
    selected = {aspect: layout.selected(aspect) for aspect in settings.aspects}
    with work.replaced(layout.adapter(variant)) as out:
        metrics, losses, done = unions.unite(variant, settings, adapters, selected, out, compute.load().torch_device())
    layout.write_csv(losses, layout.plot("mix", variant))
    layout.write_json(metrics, layout.metrics("mix", variant))
    done()
    return f"{len(adapters)} experts, {len(losses)} steps,"


if __name__ == "__main__":
    main()
