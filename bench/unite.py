"""Compare ways to unite the experts of a finished run: only mix, evaluate and compare run, on its prompts and experts.

The study's file is as `bench.study` has it. A trial that changes `select` also selects anew, from the run's candidates
and scores: the gates learn from other picks, the experts stay.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from bench import study
from versat2i.formats import tables
from versat2i.settings import reader
from versat2i.settings.params import BASE
from versat2i.work import places

SELECT = "select"


def link(run: Path, root: Path, aspects: list[str], selected: bool) -> None:
    """Put what a run has into a folder, by links: prompts, questions, candidates, scores, experts, selected sets.

    Args:
        run: the folder of the run.
        root: the folder of the trial.
        aspects: of the trial.
        selected: whether to take the selected sets too.
    """
    wanted = [places.prompts("dev").parent, places.questions("dev").parent, places.IMAGES, places.scores("x").parent]
    wanted += [places.adapter(aspect) for aspect in aspects]
    wanted += [places.selected(aspect) for aspect in aspects] if selected else []
    for place in wanted:
        if (run / place).exists() and not (root / place).is_symlink():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).symlink_to((run / place).resolve())


def trial(root: Path, run: Path, changes: list[Mapping[str, Any]], project: Path) -> pd.DataFrame:
    """Run what a trial has not run yet.

    Args:
        root: its folder.
        run: the folder of the run that it starts from.
        changes: of the run's params, in this order.
        project: the folder of the code.

    Returns:
        gains over base, as `study.gains`.
    """
    settings = reader.parse((run / "params.yaml").read_text())
    for change in changes:
        study.put(settings, change)
    again = any(name.split(".")[0] == SELECT for change in changes for name in change)
    link(run, root, settings["aspects"], selected=not again)
    study.run(root, settings, project, ("mix", "evaluate", "compare", *([SELECT] if again else [])))
    return study.gains(root, BASE)


def own_metrics(root: Path) -> dict[str, str]:
    """aspect -> its metric, of a finished trial."""
    measures = tables.measures(root / places.evaluation(BASE) / "scores.parquet")
    return {measure.aspect: measure.metric for measure in measures if measure.aspect}


def shares(table: pd.DataFrame, metrics: dict[str, str]) -> pd.DataFrame:
    """What a variant keeps of each expert's own gain, a row a variant, a column an aspect, and the least of them.

    Args:
        table: from `study.gains`, the experts among the variants.
        metrics: aspect -> its metric.
    """
    gains = table.pivot_table(index="variant", columns="metric", values="gain", sort=False)
    found = pd.DataFrame({aspect: gains[metric] / gains.loc[aspect, metric] for aspect, metric in metrics.items()})
    return found.assign(least=found.min(axis=1)).drop(index=list(metrics))


@click.command()
@click.argument("file", type=Path)
@click.option("--run", "run_", default=Path(), type=Path, help="The folder of the run to start from.  [default: here]")
@click.option("--only", multiple=True, help="A trial; may be given again.  [default: all]")
@click.option(
    "--out", default=Path(".study"), type=Path, show_default=True, help="A folder for trials and their store."
)
def main(file: Path, run_: Path, only: tuple[str, ...], out: Path) -> None:
    """Run the trials of a study on the experts of a run, and print gains and what is kept of the experts' own.

    \b
    Example:
        python -m bench.unite bench/studies/unite.yaml
    """
    content = reader.parse(file.read_text())
    project, out = Path.cwd(), out.resolve()
    os.environ.setdefault("VERSAT2I_WORK", str(out / "store"))
    for name in only or content["trials"]:
        root = out / file.stem / name
        table = trial(root, run_.resolve(), [content.get("change", {}), content["trials"][name]], project)
        click.echo(f"\n{name}\n{study.cells(table).to_markdown()}")
        click.echo(f"\n{shares(table, own_metrics(root)).round(2).to_markdown()}")


if __name__ == "__main__":
    main()
