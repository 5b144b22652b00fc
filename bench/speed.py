"""Images and LoRA samples a second of random SD 1.5 and SDXL, beside plain diffusers on the same machine."""

import gc
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click
import torch

from bench import models, plain
from versat2i.models.diffusion import Backbone
from versat2i.settings.compute import Compute
from versat2i.settings.params import Sampling
from versat2i.settings.training import Gates, TrainLora
from versat2i.tools import measure as measuring

STEPS, GUIDANCE = 20, 5.0
EXPERTS, RANK = 4, 16
TEXT = "two red circles on a navy background"
RULE = {
    "objective": "sft",
    "learning_rate": 1.0e-4,
    "lr_scheduler": "constant",
    "timesteps": [0.0, 1.0],
    "min_snr": None,
    "caption_dropout": 0.0,
    "steps": 1,
}


@dataclass(frozen=True)
class Row:
    """One line of the table: what, how many at once, how many a second, and most memory of the GPU."""

    model: str
    what: str
    batch: int
    rate: float
    memory: int | None

    def cells(self) -> list[str]:
        memory = "-" if self.memory is None else f"{self.memory / 2**30:.1f} GiB"
        return [self.model, self.what, str(self.batch), f"{self.rate:.3g}", memory]


def row(model: Backbone, name: str, what: str, batch: int, step: Callable[[], object], calls: int) -> Row:
    cost = measuring.timed(step, model.device, calls)
    return Row(name, what, batch, batch / cost.seconds, cost.memory)


def experts(model: Backbone) -> list:
    rule = TrainLora(**RULE, rank=RANK, alpha=RANK, targets="attention", batch_size=1)  # type: ignore[arg-type]
    return measuring.untrained(model, {f"expert{number}": rule for number in range(EXPERTS)})


def drawing(model: Backbone, name: str, sizes: list[int], steps: int, calls: int) -> Iterator[Row]:
    """Plain pipeline, ours, and ours with a mixture, images a second with guidance."""
    prompts, empty = model.embed([TEXT] * max(sizes)), model.embed([""])
    samplings = {size: Sampling(steps=steps, guidance_scale=GUIDANCE, batch_size=size) for size in sizes}
    for size, sampling in samplings.items():
        yield row(
            model,
            name,
            "images, plain pipeline",
            size,
            plain.drawing(model.pipe, prompts[:size], empty, sampling),
            calls,
        )
        yield row(model, name, "images", size, measuring.drawing(model, prompts[:size], empty, sampling), calls)
    mixed = measuring.mixed(model, experts(model), mixing(1))
    for size, sampling in samplings.items():
        step = measuring.drawing(model, prompts[:size], empty, sampling)
        yield row(model, name, f"images, mixture of {EXPERTS}", size, step, calls)
    mixed.detach()


def mixing(batch: int) -> Gates:
    return Gates(**RULE, kind="gates", scope="token", balance=0.01, scale=1.0, batch_size=batch)  # type: ignore[arg-type]


def training(model: Backbone, name: str, batch: int, calls: int) -> Iterator[Row]:
    """Plain LoRA step, ours, and a step of a mixture's gates, samples a second."""
    prompts = model.embed([TEXT] * batch)
    rule = TrainLora(**RULE, rank=RANK, alpha=RANK, targets="attention", batch_size=batch)  # type: ignore[arg-type]
    steps = {
        "LoRA samples, plain step": lambda: plain.lora_step(
            model.pipe, measuring.latents(model, rule), prompts, RANK, rule.learning_rate
        ),
        "LoRA samples": lambda: measuring.lora_step(model, prompts, rule),
    }
    for what, make in steps.items():
        yield row(model, name, what, batch, make(), calls)
        model.denoiser.unload_lora()
    mixed = measuring.mixed(model, experts(model), mixing(batch))
    step = measuring.mix_step(model, prompts, mixed, mixing(batch))
    yield row(model, name, f"samples of a mixture of {EXPERTS}", batch, step, calls)
    mixed.detach()
    model.denoiser.eval()


def overhead(rows: list[Row]) -> list[str]:
    """What a mixture costs when drawing, by model and batch size."""
    rates = {(r.model, r.batch, r.what): r.rate for r in rows}
    lines = []
    for (model, batch, what), rate in rates.items():
        if what.startswith("images, mixture"):
            share = rates[model, batch, "images"] / rate - 1
            lines.append(f"{model}, batch {batch}: a mixture takes {share:+.0%} of the base's time")
    return lines


def machine(device: str) -> str:
    """Processor and versions."""
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    else:
        cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = f"{cpu[0].partition(': ')[2] if cpu else platform.processor()}, {torch.get_num_threads()} threads"
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "diffusers", "peft", "transformers"))
    return f"{name}; {versions}; Python {platform.python_version()}"


def table(rows: list[Row]) -> list[str]:
    """Rows as a table in Markdown."""
    head = ["model", "what", "at once", "a second", "memory"]
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *(r.cells() for r in rows))]


def measure(name: str, device: str, tiny: bool, sizes: list[int], batch: int, calls: int) -> list[Row]:
    """All rows of one model."""
    dtype = "float32" if device == "cpu" else "float16"
    model = models.build(name, device, dtype, tiny)
    rows = [*drawing(model, name, sizes, 2 if tiny else STEPS, calls), *training(model, name, batch, calls)]
    del model
    gc.collect()
    return rows


@click.command()
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1; auto takes a GPU if there is one."
)
@click.option("--model", "names", multiple=True, type=click.Choice(list(models.BUILDERS)), help="Of these only.")
@click.option("--size", type=click.Choice(["full", "tiny"]), help="Default: full on a GPU, tiny on a CPU.")
@click.option("--batch", "sizes", multiple=True, type=int, help="Images at once; default 1, 4, 8 at full size.")
@click.option("--train-batch", default=4, show_default=True, help="Samples in a training step.")
@click.option("--calls", default=3, show_default=True, help="Timed calls of each, of which the median counts.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table here too.")
def main(
    device: str,
    names: tuple[str, ...],
    size: str | None,
    sizes: tuple[int, ...],
    train_batch: int,
    calls: int,
    out: Path,
) -> None:
    """Measure drawing and training of random SD 1.5 and SDXL beside plain diffusers.

    \b
    Examples:
        python -m bench.speed --device cuda
        python -m bench.speed --device cpu --size tiny
    """
    device = Compute(device=device).torch_device()
    tiny = (size or ("tiny" if device == "cpu" else "full")) == "tiny"
    wanted = list(sizes) or ([1, 2] if tiny else [1, 4, 8])
    rows = []
    for name in names or tuple(models.BUILDERS):
        rows += measure(name, device, tiny, wanted, train_batch, calls)
    steps = 2 if tiny else STEPS
    head = f"{'tiny' if tiny else 'full'} size, {steps} steps, guidance {GUIDANCE}, rank {RANK}; {machine(device)}"
    text = "\n".join([head, "", *table(rows), "", *overhead(rows)])
    click.echo(text)
    if out is not None:
        out.write_text(text + "\n")


if __name__ == "__main__":
    main()
