"""Stage `mix@<variant>`."""

from pathlib import Path

import click

from stages.command import stage
from versat2i.settings import compute, params
from versat2i.train import kept
from versat2i.work import places


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

    from versat2i.mix import unions  # torch and diffusers take seconds to import

    adapters = {aspect: places.adapter(aspect) for aspect in settings.aspects}
    selected = {aspect: places.selected(aspect) for aspect in settings.aspects}

    key = unions.fingerprint(variant, settings, adapters, selected)

    def unite(out: Path) -> kept.Result:
        return unions.unite(variant, settings, adapters, selected, key, out, machine)

    made = kept.make("mix", key, unite)
    made.put("mix", variant)
    experts = len(adapters) + len(params.foreign(settings.mix[variant]))
    return f"{experts} experts, {len(made.losses)} steps,{made.source}"


if __name__ == "__main__":
    main()
