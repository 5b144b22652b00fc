"""The full mixture as a folder fit for a model hub, with a card that says what it is and what it reached."""

import filecmp
import shutil
from pathlib import Path

import yaml

from versat2i import rewards
from versat2i.adapters import loading, mixture_files
from versat2i.compare.results import Evaluation, title
from versat2i.formats import metrics, records
from versat2i.formats import recipe as recipes
from versat2i.formats.recipe import Recipe
from versat2i.settings.params import Params
from versat2i.tools.export import in_the_way, place
from versat2i.work import files, places

FILES = [mixture_files.RECIPE, mixture_files.EXPERTS, mixture_files.GATES]
PAPER = "https://arxiv.org/abs/2403.18493"


def publishable(folder: Path, out: Path, settings: Params, replace: bool = False) -> Path:
    """Copy a mixture with the earlier rounds in its base, and write its card, ``README.md``, beside it.

    Args:
        folder: of the mixture.
        out: the folder to make; one that is there with the same mixture gets a new card.
        settings: params of the run that made it.
        replace: whether it may take the place of a folder with anything else.

    Returns:
        the folder.

    Raises:
        ValueError: the folder holds no whole mixture, or something else is in the way.
    """
    recipe, rounds = recipes.read(folder), loading.earlier(folder)
    if out.exists() and not replace and filecmp.cmpfiles(folder, out, FILES, shallow=False)[0] != FILES:
        raise in_the_way(out)
    with files.replaced(out) as made:
        for name in FILES:
            shutil.copyfile(folder / name, made / name)
        for number, earlier in enumerate(rounds, start=1):
            shutil.copytree(earlier, made / places.round_of(number))
        (made / "README.md").write_text(card(place(folder).name, recipe, settings), encoding="utf-8")
    return out


def card(name: str, recipe: Recipe, settings: Params) -> str:
    """The model card in Markdown, with the front matter that hubs read."""
    base, revision = recipe.metadata.get("base_model", "unknown"), recipe.metadata.get("revision", "unknown")
    front = {
        "base_model": base,
        "license": "other",
        "license_name": "that-of-the-base-model",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "lora", "mixture-of-lora", "versat2i"],
    }
    experts = "\n".join(f"- `{e.name}`: rank {e.rank}, alpha {e.alpha:g}" for e in recipe.experts)
    sections = {
        f"# {name}": f"A gated Mixture of LoRA ([VersaT2I]({PAPER})) over `{base}` at revision `{revision}`, made by "
        "versat2i: the base model trained on its own best images, one expert an aspect, no human labels.",
        "## Load": _LOAD,
        "## Experts": f"{experts}\n\nGate scope: `{recipe.scope}`.",
        "## Data": _data(settings),
        "## Results": _results(name),
        "## Licences": _licences(settings),
        "## Limits": _LIMITS,
    }
    body = "\n\n".join(f"{title}\n{text}" for title, text in sections.items())
    return f"---\n{yaml.safe_dump(front, sort_keys=True)}---\n{body}\n"


_LOAD = """```python
import versat2i

pipe = versat2i.load("path/to/this/folder")  # an ordinary diffusers pipeline, the mixture in place
```
Tools that know only ordinary LoRA files take the collapsed one, in which the gates no longer follow the image;
of scope `time` and `prompt` there is none."""

_LIMITS = """What the base model cannot draw at all, its own images cannot teach. The evaluators named here chose the
training images: what they do not see has not been improved, and what they misjudge may have been learned. The gains
hold for prompts like those of the evaluation; look at the judges' rows, which took no part in the choice."""


def _data(settings: Params) -> str:
    counts = _read(places.metrics("prompts")).get("train", {}).get("prompts")
    prompts = f"{counts} prompts" if counts else "its train prompts"
    lines = [f"The base model drew {settings.generate.per_prompt} candidates for each of {prompts}; picked were:"]
    for aspect in settings.aspects:
        found = _read(places.metrics("select", aspect))
        picks = f"{found['picks']} of {found['candidates']}" if "picks" in found else "unknown how many"
        lines.append(f"- {aspect}: {picks}, by `{settings.rewards[aspect].evaluator}`")
    return "\n".join(lines)


def _results(name: str) -> str:
    path = places.metrics("evaluate")
    found = records.read(path, Evaluation).variants.get(name) if path.exists() else None
    if not found:
        return "Not evaluated."
    rows = ["| metric | mean | gain over base, 95 % interval | win rate |", "|---|---|---|---|"]
    for metric, result in found.items():
        if result.mean is not None and result.win_rate is not None:
            named = title(metric, result.lower_is_better)
            rows.append(f"| {named} | {result.mean:.4f} | {result.told()} | {result.win_rate:.2f} |")
    return "\n".join(rows) + "\n\nPaired by prompt and seed; the interval is a bootstrap over prompts."


def _licences(settings: Params) -> str:
    chosen = [(aspect, settings.rewards[aspect]) for aspect in settings.aspects]
    lines = [
        f"- {aspect}, `{option.evaluator}`: {rewards.from_params(aspect, option).licence}" for aspect, option in chosen
    ]
    return "The weights fall under the licence of the base model. The evaluators that chose its data:\n" + "\n".join(
        lines
    )


def _read(path: Path) -> dict:
    """Metrics, or nothing where that stage has not run here."""
    return metrics.read_json(path) if path.exists() else {}
