"""Where on the way from noise to image do the experts of a run pull against each other?

Base draws some dev prompts. At each state of its trajectories every expert alone changes base's prediction by d_k, and
the cosine of d_j and d_k says whether two experts agree there, whatever their sizes; ``|d_k| / |v|`` says how much an
expert changes. Below 0 a pair takes back from each other, and no constant weight keeps both.
"""

from itertools import combinations
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from torch import Tensor

from versat2i.adapters import lora
from versat2i.formats import tables
from versat2i.mix import distillation
from versat2i.mix.distillation import Call, Drawing
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone
from versat2i.settings import compute, params
from versat2i.work import places

Changes = tuple[Tensor, list[Tensor]]


def along(model: Backbone, texts: list[str], experts: list[str], drawing: Drawing) -> list[Changes]:
    """Base's prediction and each expert's change of it, at each call of the denoiser while base draws.

    Args:
        model: with the experts in its denoiser.
        texts: the prompts, an image each.
        experts: their names.
        drawing: steps, guidance, size.
    """
    calls: list[Call] = []
    with lora.detached(model.denoiser):
        seeds = list(range(len(texts)))
        distillation.drawn(model, model.embed(texts), model.embed([""]), seeds, drawing, calls.append)
    return [distillation.changes(model, call, experts, experts[0]) for call in calls]


def table(found: list[Changes], experts: list[str], times: list[float]) -> pd.DataFrame:
    """Rows of time, kind (`cosine` of a pair, `size` of one), who, and the mean over images.

    Args:
        found: of each call.
        experts: their names.
        times: of each call, the scheduler's.
    """
    rows: list[dict[str, Any]] = []
    for time, (base, changes) in zip(times, found, strict=True):
        flat = {name: change.flatten(1) for name, change in zip(experts, changes, strict=True)}
        for name, change in flat.items():
            size = (change.norm(dim=1) / base.flatten(1).norm(dim=1)).mean()
            rows.append({"time": time, "kind": "size", "who": name, "value": float(size)})
        for one, other in combinations(experts, 2):
            cosine = torch.cosine_similarity(flat[one], flat[other], dim=1).mean()
            rows.append({"time": time, "kind": "cosine", "who": f"{one}, {other}", "value": float(cosine)})
    return pd.DataFrame(rows)


def chart(rows: pd.DataFrame, path: Path) -> None:
    """Draw the cosines of the pairs and the sizes of the changes over time, noise at the left.

    Args:
        rows: from `table`.
        path: an SVG file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    titles = {"cosine": "cosine of two experts' changes", "size": "size of an expert's change over the prediction's"}
    for axes, (kind, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for who, line in rows[rows["kind"] == kind].groupby("who", sort=False):
            axes.plot(line["time"], line["value"], marker=".", label=str(who))
        axes.set(title=title, xlabel="timestep, noise at the left")
        axes.title.set_fontsize(9)
        axes.invert_xaxis()
        axes.axhline(0, color="#8a9299", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=6)
    with mpl.rc_context({"svg.hashsalt": "conflict", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


@click.command()
@click.option("--prompts", default=16, show_default=True, help="How many of the dev prompts base draws.")
@click.option("--out", type=Path, help="A CSV file for the whole table.")
@click.option("--chart", "picture", type=Path, help="An SVG file to draw it into.")
def main(prompts: int, out: Path | None, picture: Path | None) -> None:
    """Tell how the experts of the run in this folder agree, by timestep.

    \b
    Example:
        python -m bench.conflict --chart conflict.svg
    """
    settings, experts = params.load(), params.load().aspects
    model = diffusion.load(settings.model, compute.load())
    for aspect in experts:
        lora.insert(model.denoiser, lora.read(places.adapter(aspect), aspect))
    texts = list(tables.texts(places.prompts("dev")).values())[:prompts]
    options = settings.evaluate
    found = along(model, texts, experts, Drawing(options.steps, options.guidance_scale, options.size))
    times = [float(time) for time in model.pipe.scheduler.timesteps]
    passes = len(found) // len(times)  # calls a step
    rows = table(found, experts, [time for time in times for _ in range(passes)])
    if out:
        rows.to_csv(out, index=False)
    if picture:
        chart(rows, picture)
    for kind in ("cosine", "size"):
        shown = rows[rows["kind"] == kind].pivot_table(index="time", columns="who", values="value", sort=False)
        click.echo(f"\n{kind}\n{shown.round(3).to_markdown()}")


if __name__ == "__main__":
    main()
