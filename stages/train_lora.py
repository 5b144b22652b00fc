"""Stage `train_lora@<aspect>`."""

from pathlib import Path

import click

from stages.command import stage
from versat2i.settings import compute, params
from versat2i.train import kept
from versat2i.work import places


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
    selected = places.selected(aspect)

    from versat2i.adapters import lora
    from versat2i.train import checkpoint as checkpoints  # torch and diffusers take seconds to import
    from versat2i.train import expert, loop

    checkpoint = checkpoints.of("train_lora", expert.__name__, aspect, settings, rule, [selected])

    def train(out: Path) -> kept.Result:
        adapter, losses = expert.train_lora(
            settings.model, [selected], rule, settings.seed, aspect, checkpoint, machine
        )
        lora.write(adapter, out)
        return loop.summary(losses), losses, checkpoint.remove

    made = kept.make("train_lora", checkpoint.path.stem, train)
    made.put("train_lora", aspect)
    return f"{len(made.losses)} steps of {rule.batch_size}, rank {rule.rank},{made.source}"


if __name__ == "__main__":
    main()
