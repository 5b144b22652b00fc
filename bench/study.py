"""Run the pipeline for settings that differ in a few values, and tell what each variant gains.

A study is a YAML file. `change` holds values of params.yaml that all trials share, `trials` what each has of its own,
both by dotted names; ``*`` stands for every key of a section:

    change: {evaluate.split: dev}
    trials:
      sft: {}
      contrast: {"train_lora.*.objective": contrast}

Trials share a work store, so that what two of them have in common is drawn and trained once.
"""

import io
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pandas as pd
from ruamel.yaml import YAML

from versat2i.compare import statistics
from versat2i.formats import tables
from versat2i.settings import params, reader
from versat2i.settings.params import BASE
from versat2i.work import places

FILES = ("compute.yaml", "environment.json")  # of the project, beside params.yaml


def put(settings: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set values by dotted name; ``*`` for every key of a section, a last key may be new.

    Raises:
        ValueError: a section does not exist.
    """
    for name, value in changes.items():
        *sections, key = name.split(".")
        for section in _sections(settings, sections, name):
            section[key] = value


def _sections(settings: dict[str, Any], path: list[str], name: str) -> Iterator[dict[str, Any]]:
    if not path:
        yield settings
        return
    keys = list(settings) if path[0] == "*" else [path[0]]
    for key in keys:
        if not isinstance(settings.get(key), dict):
            raise ValueError(f"{name}: params have no section {key!r}")
        yield from _sections(settings[key], path[1:], name)


def stages(settings: params.Params) -> list[tuple[str, ...]]:
    """The stages of a run with their arguments, in the order of their dependencies; no report."""
    each = [(name, aspect) for name in ("score", "select", "train_lora") for aspect in settings.aspects]
    variants = settings.evaluate.variants
    mixes = [("mix", variant) for variant in settings.mix if variant in variants]
    return [("prompts",), ("generate",), *each, *mixes, *(("evaluate", variant) for variant in variants), ("compare",)]


def run(root: Path, settings: dict[str, Any], project: Path, only: Collection[str] = ()) -> None:
    """Run every stage with those settings in a folder, or the named ones; a finished run of the same settings stays."""
    done = root / places.metrics("evaluate")
    if done.exists() and reader.parse((root / "params.yaml").read_text()) == _rooted(settings, project):
        return
    done.unlink(missing_ok=True)
    whole = stages(params.parse(_text(settings), "params.yaml"))
    draw(root, settings, project, [stage for stage in whole if not only or stage[0] in only])


def draw(root: Path, settings: dict[str, Any], project: Path, stages: list[tuple[str, ...]]) -> None:
    """Run some stages with those settings in a folder."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(_text(_rooted(settings, project)))
    for name in FILES:
        shutil.copy(project / name, root / name)
    with chdir(root):
        for name, *arguments in stages:
            import_module(f"stages.{name}").main(arguments, standalone_mode=False)


def _rooted(settings: dict[str, Any], project: Path) -> dict[str, Any]:
    """The same with the model's path from the root of the file system."""
    path = settings["model"].get("path")
    return settings | {"model": settings["model"] | ({"path": str((project / path).resolve())} if path else {})}


def _text(settings: dict[str, Any]) -> str:
    text = io.StringIO()
    YAML().dump(settings, text)
    return text.getvalue()


def evaluations(root: Path) -> dict[str, dict[str, pd.DataFrame]]:
    """variant -> metric -> scores of a finished run in that folder, in the order of its params."""
    variants = params.load(root / "params.yaml").evaluate.variants
    return {
        variant: statistics.by_metric(tables.read("evaluation", root / places.evaluation(variant) / "scores.parquet"))
        for variant in variants
    }


def gains(root: Path, reference: str) -> pd.DataFrame:
    """Gains of a trial's variants over one of them, a row a variant and metric: variant, metric, gain, low, high."""
    settings, found = params.load(root / "params.yaml"), evaluations(root)
    measures = tables.measures(root / places.evaluation(BASE) / "scores.parquet")
    metrics = [measure.metric for measure in measures if measure.aspect]
    scores = {BASE: found.pop(reference), **{name: each for name, each in found.items() if name != BASE}}
    table = statistics.compare(scores, metrics=metrics, seed=settings.seed, resamples=settings.evaluate.resamples)
    rows = [
        (variant, metric, entry["gain"], entry["low"], entry["high"])
        for variant, entries in table.items()
        for metric, entry in entries.items()
        if "gain" in entry
    ]
    return pd.DataFrame(rows, columns=["variant", "metric", "gain", "low", "high"])


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Gains with half the interval's width, a row a variant, a column a metric; bold: the interval is above 0."""
    text = [
        f"{'**' * (row.low > 0)}{row.gain:+.3f}{'**' * (row.low > 0)} ± {(row.high - row.low) / 2:.3f}"
        for row in table.itertuples()
    ]
    variants, metrics = table["variant"].unique(), table["metric"].unique()
    return table.assign(text=text).pivot(index="variant", columns="metric", values="text").loc[variants, metrics]


@click.command()
@click.argument("file", type=Path)
@click.option("--only", multiple=True, help="A trial; may be given again.  [default: all]")
@click.option("--out", default=Path(".study"), type=Path, show_default=True, help="A folder for runs and their store.")
@click.option("--against", default="base", show_default=True, help="The variant that gains are told over.")
def main(file: Path, only: tuple[str, ...], out: Path, against: str) -> None:
    """Run the trials of a study that are not there yet, and print the gains of each.

    \b
    Example:
        python -m bench.study bench/studies/controls.yaml --against control
    """
    study = reader.parse(file.read_text())
    project, out = Path.cwd(), out.resolve()
    os.environ.setdefault("VERSAT2I_WORK", str(out / "store"))
    for name in only or study["trials"]:
        settings = reader.parse(Path("params.yaml").read_text())
        put(settings, study.get("change", {}))
        put(settings, study["trials"][name])
        root = out / file.stem / name
        run(root, settings, project)
        click.echo(f"\n{name}\n{cells(gains(root, against)).to_markdown()}")


if __name__ == "__main__":
    main()
