"""Put the report together: what it shows, as one page with its pictures and data beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from versat2i.compare import statistics
from versat2i.compare.results import BETTER, WORSE, Evaluation, Groups
from versat2i.compare.statistics import BASE, MIXTURE, UNIFORM
from versat2i.formats import metrics as metric_files
from versat2i.formats import records, tables
from versat2i.formats.measures import OWN_LICENCE, Measure
from versat2i.report import aspects, browser, charts, gates, results, rounds
from versat2i.settings import environment
from versat2i.settings.params import Model, Params
from versat2i.work import places

PAGE = "index.html"
SOURCES = Path(__file__).parent


def write(settings: Params, out: Path) -> int:
    """Write the report.

    Args:
        settings: all params.
        out: a new folder for ``index.html``, ``prompts.js`` and ``images/``.

    Returns:
        how many evaluation images it shows.

    Raises:
        ValueError: something that it shows is missing or does not fit the rest.
    """
    out.mkdir(parents=True, exist_ok=True)
    variants = list(settings.evaluate.variants)
    files = {variant: places.evaluation(variant) / "scores.parquet" for variant in variants}
    scores = {variant: statistics.by_metric(tables.read("evaluation", path)) for variant, path in files.items()}
    measures = tables.measures(files[BASE])
    statistics.check(scores, [measure.metric for measure in measures])
    units = spreads(scores)
    sections = verdict(measures, units, variants) | {"gates": gates.read(settings)}
    prompts = tables.read("prompts", places.prompts(settings.evaluate.split))
    shown = browser.describe(scores, prompts, measures, units, results.headline(variants))
    browser.write_script(shown, out)
    size = browser.write_images(shown, {v: places.evaluation(v) / "images" for v in variants}, out)
    texts = tables.texts(places.prompts("train"))
    sections |= {
        "rounds": rounds.show(settings, tables.texts(places.prompts(settings.evaluate.split)), out),
        "browser": shown.content,
        "images": shown.images,
        "items": len(shown.items),
        "size": size,
        "aspects": [aspects.read(measure, settings, texts, out) for measure in measures if measure.aspect],
        "settings": settings,
        "model": model_name(settings.model),
        "model_licence": model_licence(settings.model),
        "versions": metric_files.read_json(environment.FILE),
    }
    (out / PAGE).write_text(render(sections), encoding="utf-8")
    return len(shown.items) * len(variants)


def spreads(scores: statistics.Scores) -> dict[str, float]:
    """metric -> standard deviation over prompts of base's score, the unit of `statistics.standardised_gain`."""
    means = statistics.prompt_means(scores)
    deviations = {metric: float(table[BASE].std(ddof=0)) for metric, table in means.items()}
    return {metric: value if value > statistics.ROUNDING else 0.0 for metric, value in deviations.items()}


def model_name(model: Model) -> str:
    """The base model as params name it, with the earlier rounds in it; of a folder outside the project the name."""
    rounds = f" with {', '.join(model.start)}" if model.start else ""
    if model.repo is not None:
        return f"{model.repo} at revision {model.revision}{rounds}"
    return (Path(model.name).name if Path(model.name).is_absolute() else model.name) + rounds


def model_licence(model: Model) -> str:
    """The licence of the base model, as far as it is known here."""
    ours = model.path is not None and Path(model.path) == places.EMBEDDED
    return OWN_LICENCE if ours else "that of the model: see its card"


def verdict(measures: list[Measure], units: Mapping[str, float], variants: list[str]) -> dict[str, Any]:
    """Prepare ``metrics/evaluate.json`` and ``metrics/groups.json`` for the page."""
    table = records.read(places.metrics("evaluate"), Evaluation)
    name = results.headline(variants)
    changes = {
        variant: {measure.metric: table.of(variant, measure.metric) for measure in measures} for variant in variants
    }
    groups = records.read(places.metrics("groups"), Groups)
    return {
        "measures": measures,
        "variants": variants,
        "headline": name,
        "changes": changes,
        "sentence": results.sentence([changes[name][m.metric] for m in measures if m.aspect]),
        "summary": table.summary,
        "against_uniform": table.summary.get(f"{MIXTURE}_minus_{UNIFORM}"),
        "groups": {
            group: {measure.metric: part.of(name, measure.metric) for measure in measures}
            for group, part in groups.root.items()
        },
        "conflicts": _conflicts(table, measures, units, variants),
    }


def _conflicts(
    table: Evaluation, measures: list[Measure], units: Mapping[str, float], variants: list[str]
) -> Markup | None:
    """The chart of variants x metrics; None where base is alone."""
    others = [variant for variant in variants if variant != BASE]
    if not others:
        return None
    names = [measure.metric for measure in measures]
    cells = {variant: [table.of(variant, name) for name in names] for variant in others}
    texts = {variant: [signed(each.gain) for each in row] for variant, row in cells.items()}
    clear = {v: [each.verdict in (BETTER, WORSE) for each in row] for v, row in cells.items()}
    gains = results.standardised(table, {name: units[name] for name in names})
    shown, bold = (pd.DataFrame.from_dict(part, orient="index", columns=names) for part in (texts, clear))
    return charts.conflicts(gains, shown, bold, sum(measure.aspect is not None for measure in measures))


def number(value: float | None) -> str:
    """A score: four decimals, two of a large one, a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
    return text if float(text) else text.removeprefix("-")


def signed(value: float | None) -> str:
    """A gain: as `number`, with its sign; what is zero to the last digit shown has none."""
    text = number(value)
    return f"+{text}" if value is not None and value > 0 and float(text) else text


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def render(sections: dict[str, Any]) -> str:
    """The page; whatever is not `Markup` is escaped."""
    # StrictUndefined: a name that is misspelt in the template is an error, not a blank
    world = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    world.filters.update(number=number, signed=signed, percent=percent)
    files = {name: Markup((SOURCES / f"page.{name}").read_text(encoding="utf-8")) for name in ("css", "js")}
    order = Markup((SOURCES / "order.js").read_text(encoding="utf-8"))
    return world.get_template("page.html").render(**sections, **files, order=order)
