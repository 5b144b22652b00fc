"""Begin the next round: bake a variant of a finished run into the base model; no stage of the pipeline itself."""

import difflib
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.util import load_yaml_guess_indent

from versat2i.settings import compute, params, reader
from versat2i.settings.complaints import hint
from versat2i.settings.params import BASE, FIRST, Params
from versat2i.tools import dvc
from versat2i.work import commands, failures, files, places, progress

PARAMS = Path("params.yaml")
SHOWN = 6  # prompts whose images the report shows of every round
COMMITTED = "dvc.lock dvc.yaml params.yaml metrics plots"


def check(settings: Params, variant: str) -> None:
    """Refuse to begin a round unless the present one is finished, committed and has its tag.

    Raises:
        ValueError: says what to do first.
    """
    known = [*settings.aspects, *settings.mix]
    if variant not in known:
        raise ValueError(f"VARIANT={variant}: is none of {', '.join(known)}{hint(variant, known)}")
    number = len(settings.model.start)
    changed = sorted(json.loads(dvc.output("status", "--json")))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise ValueError(f"round {number} is not finished: {changed[0]}{more} changed since. Run `make repro` first")
    tag = f"{places.TAG}{number}"
    todo = f'`git add {COMMITTED} && git commit -m "Round {number}" && git tag {tag}`'
    try:
        commands.output("git", "rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}")
        same = not commands.output("git", "diff", "--name-only", tag, "--", *COMMITTED.split()).strip()
    except commands.Failed as error:
        if error.reason:
            raise
        same = False
    if not same:
        raise ValueError(f"round {number} has no commit with the tag {tag}: its results would be lost. First {todo}")


def bake(settings: Params, variant: str, number: int) -> tuple[Path, bool]:
    """Write a variant as one plain LoRA, with a few of its images for the report.

    Returns:
        its folder, and whether it is the variant exactly: one without gates, or with gates that look at no input, on a
        base whose weights are not rounded.
    """
    from versat2i.adapters import lora, mixture_files
    from versat2i.formats import recipe
    from versat2i.models import diffusion
    from versat2i.report import rounds as pictures
    from versat2i.tools import export

    source, out = places.adapter(variant), places.round_of(number)
    adapter = lora.folded(export.alone(source))
    lora.check_base(adapter.metadata, diffusion.identity(settings.model), source)
    metadata = {**adapter.metadata, "adapter": variant, "round": str(number)}
    with files.replaced(out) as made:
        lora.write(replace(adapter, metadata=metadata), made)
        pictures.keep(variant, settings.evaluate.split, made, SHOWN)
    gated = mixture_files.holds(source) and recipe.read(source).scope != "layer"
    return out, not gated and settings.model.dtype == "float32"


def compare(settings: Params, variant: str, baked: Path) -> list[str]:
    """Draw and score the dev prompts with what was baked and with what it was baked from, outside of DVC's graph.

    Returns:
        a line a metric: both means, and the gain of the one over the other with its interval.
    """
    from versat2i.adapters import loading
    from versat2i.compare import statistics
    from versat2i.compare.results import Result

    later = settings.model.model_copy(update={"start": (*settings.model.start, str(baked))})
    found = {
        BASE: _scores(settings, settings.model, loading.Put(places.adapter(variant))),
        "baked": _scores(settings, later, None),
    }
    metrics = [str(name) for name in found[BASE]["metric"].unique()]
    scores = {name: statistics.by_metric(table) for name, table in found.items()}
    resamples = settings.evaluate.resamples
    table = statistics.compare(scores, metrics=metrics, seed=settings.seed, resamples=resamples)
    lines = [f"{'metric':<16}{variant:>12}{'baked':>12}{'baked - ' + variant:>32}"]
    for metric in metrics:
        before, after = (Result.model_validate(table[name][metric]) for name in (BASE, "baked"))
        means = "".join(f"{'-' if each.mean is None else f'{each.mean:.4f}':>12}" for each in (before, after))
        lines.append(f"{metric:<16}{means}{after.told():>32}")
    return lines


def _scores(settings: Params, model: params.Model, prepare: Any) -> pd.DataFrame:
    """Scores of the dev prompts' images, as stage `evaluate` makes them."""
    from versat2i.evaluate import score
    from versat2i.formats import tables
    from versat2i.generate import painter
    from versat2i.generate import plan as plans
    from versat2i.work import pool, store

    options, machine = settings.evaluate, compute.load()
    texts = tables.texts(places.prompts("dev"))
    plan = plans.plan(texts, options.per_prompt, options.prompts_per_shard)
    recipe = painter.Recipe(model, prepare, options, settings.seed, machine, "evaluate", settings.generate.safety)
    results = pool.run(recipe, plan, machine.processes("evaluate"))
    places.home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.home()) as images:
        for _, piece, _ in progress.track(results, "baked" if prepare is None else "variant", len(plan)):
            store.assemble(piece, Path(images))
        evaluators = score.of_aspects(settings) + score.of_judges(settings)
        return score.score(Path(images), evaluators, texts, tables.read("questions", places.questions("dev")), machine)


def appended(text: str, folder: str) -> str:
    """params.yaml with one more folder in `model.start`, and `first` among the variants; every other line as it was."""
    yaml, (_, indent, dash) = YAML(), load_yaml_guess_indent(text)
    yaml.indent(mapping=2, sequence=indent or 4, offset=dash or 0 if indent else 2)
    yaml.width, yaml.preserve_quotes = 10_000, True
    content = yaml.load(text)
    before = _dumped(yaml, content)
    start = CommentedSeq([*(content["model"].get("start") or []), folder])
    start.fa.set_flow_style()
    content["model"]["start"] = start
    variants = content["evaluate"]["variants"]
    if FIRST not in variants:
        variants.insert(variants.index(BASE), FIRST)
    after, lines = _dumped(yaml, content), text.splitlines(keepends=True)
    for kind, first, last, *new in reversed(difflib.SequenceMatcher(None, before, after, False).get_opcodes()):
        if kind != "equal":
            lines[first:last] = after[slice(*new)]
    try:
        kept = reader.parse("".join(lines)) == reader.parse("".join(after))
    except ValueError:
        kept = False
    return "".join(lines if kept else after)  # else ruamel has joined or indented lines, so that theirs do not fit


def _dumped(yaml: YAML, content: Any) -> list[str]:
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue().splitlines(keepends=True)


def begin(variant: str) -> None:
    """Bake a variant, compare where baking is not exact, have DVC track it, and write it into params.yaml."""
    text = PARAMS.read_text()
    settings = params.load(PARAMS)
    check(settings, variant)
    number = len(settings.model.start) + 1
    baked, exact = bake(settings, variant, number)
    if exact:
        click.echo(f"{baked}: {variant}, exactly")
    else:
        click.echo(f"{baked}: {variant}, with its mean gates and in {settings.model.dtype}. What that costs, on dev:")
        click.echo("\n".join(compare(settings, variant, baked)))
    commands.output("dvc", "add", "--quiet", str(baked))
    changed = appended(text, str(baked))
    params.parse(changed)
    with files.new_file(PARAMS) as partial:
        partial.write_text(changed)
    click.echo(
        f"round {number} begins. Now `make repro`, then\n"
        f'git add {places.ROUNDS} {COMMITTED} && git commit -m "Round {number}: {variant} of round {number - 1} in the '
        f'base" && git tag {places.TAG}{number}'
    )


@click.command()
@click.argument("variant", default=params.MIXTURE)
def main(variant: str) -> None:
    """Bake VARIANT of the finished run into the base model, for the next round.

    \b
    Example:
        python -m versat2i.tools.next_round mixture
    """
    try:
        with failures.terminable():
            begin(variant)
        return
    except (Exception, KeyboardInterrupt) as error:
        problem = failures.line(error, "next-round")
    raise click.ClickException(problem)


if __name__ == "__main__":
    main()
