"""Stage `train_lora@<aspect>`."""

import click

from stages.command import stage
from versat2i import compute, layout, params, work


@click.command()
@click.argument("aspect")
@stage
def main(aspect: str) -> str:
    """Train the expert of ASPECT on its selected images.

    \b
    Example:
        python -m stages.train_lora geometry
    """
    settings = params.load()
    rule = params.entry(settings.train_lora, aspect, "train_lora")
    selected = layout.selected(aspect)

    from versat2i import experts, lora, training  # torch and diffusers take seconds to import

    checkpoint = training.checkpoint("train_lora", experts.__name__, aspect, settings, rule, [selected])
    adapter, losses = experts.train_lora(
        settings.model, [selected], rule, settings.seed, aspect, checkpoint, compute.load().torch_device()
    )
    with work.replaced(layout.adapter(aspect)) as out:
        lora.write(adapter, out)
    layout.write_csv(losses, layout.plot("train_lora", aspect))
    layout.write_json(training.summary(losses), layout.metrics("train_lora", aspect))
    checkpoint.remove()
    return f"{len(losses)} steps of {rule.batch_size}, rank {adapter.rank},"


if __name__ == "__main__":
    main()
