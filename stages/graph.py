"""Write what follows from params.yaml into dvc.yaml; no stage of the pipeline itself.

DVC expands no list in `deps`, so the inputs of each stage are written out. Code deps (`stages/`, `versat2i/`) are kept
as they stand in dvc.yaml, and so are comments, commands, params and outs.
"""

import copy
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from versat2i.rewards.common import plugins
from versat2i.settings import params
from versat2i.settings.params import Params
from versat2i.settings.sources import Prompts
from versat2i.settings.training import Gates, foreign_loras
from versat2i.work import files, fingerprint, places

FILE = Path("dvc.yaml")
TRAIN = str(places.prompts("train"))
SPLIT = "${evaluate.split}"
COMMENTS = {
    "plots": "What `dvc plots show` and `dvc plots diff` draw besides the plots of the stages: pool beside picks.",
    "artifacts": "What other repositories take by name: `dvc artifacts get`, docs/team.md.",
}


def inputs(settings: Params) -> dict[str, list[str]]:
    """List the inputs of each stage besides code, in the order of the stages."""
    model = model_files(settings.model)
    loaded = [*model, *settings.model.start]
    experts = [str(places.adapter(aspect)) for aspect in settings.aspects]
    selected = [str(places.selected(aspect)) for aspect in settings.aspects]
    evaluated = [str(places.evaluation(variant)) for variant in settings.evaluate.variants]
    prompts, questions = str(places.prompts(SPLIT)), str(places.questions(SPLIT))
    aspect = "${item.aspect}"
    return {
        "prompts": [*prompt_files(settings.prompts), *model],
        "generate": [*loaded, TRAIN],
        "score": [
            *("${item}", str(places.IMAGES), TRAIN, str(places.questions("train")), *locks(settings)),
            *references(settings.rewards.values()),
        ],
        "select": [str(places.IMAGES), TRAIN, *(str(places.scores(name)) for name in (aspect, *guards(settings)))],
        "train_lora": [*loaded, str(places.selected(aspect))],
        "mix": [*loaded, *experts, *selected, *foreign_files(settings)],
        "evaluate": [
            *(*loaded, prompts, questions, *locks(settings)),
            *references([*settings.rewards.values(), *settings.evaluate.judges]),
            "${item}",
        ],
        "compare": [prompts, *evaluated],
        "report": [*settings.model.start, TRAIN, prompts, *evaluated, *selected, *_shown(settings)],
    }


def model_files(model: params.Model) -> list[str]:
    """What is read of a model on this machine.

    A folder with those that it links to, since DVC looks through links to files alone; or a file and its configs.
    """
    if model.file is not None:
        return [model.file, *(str(place) for place, revision in [model.place] if revision is None)]
    if model.path is None:
        return []
    here = Path.cwd()
    linked = [path.relative_to(here) if path.is_relative_to(here) else path for path in files.linked(Path(model.path))]
    return [model.path, *map(str, linked)]


def prompt_files(prompts: Prompts) -> list[str]:
    """Files that the sources of prompts name: prompts, questions, templates, examples."""
    named: list[str | None] = []
    for source in (*prompts.train, *prompts.dev, *prompts.eval):
        named += [source.file, None if source.questions == "grammar" else source.questions]
        if source.written:
            named += [source.written.template, source.written.examples]
        if source.asked:
            named += [source.asked.template, source.asked.check]
        if source.refuse:
            named.append(source.refuse.words)
    return _distinct(name for name in named if name is not None)


def foreign_files(settings: Params) -> list[str]:
    """LoRAs made elsewhere that unions take: of all of them, since stages of one `foreach` share their deps."""
    return _distinct(path for rule in settings.mix.values() for path in foreign_loras(rule).values())


def locks(settings: Params) -> list[str]:
    """Lock files of the environments that evaluators run in."""
    chosen = [*settings.rewards.values(), *settings.evaluate.judges]
    return _distinct(evaluator.environment.lock for evaluator in chosen if evaluator.environment)


def references(chosen: Iterable[params.Reward]) -> list[str]:
    """Folders of images that evaluators of originality compare with: one's own, or what a stage has picked."""
    named = (each.options.get("reference") for each in chosen if each.evaluator == "nearest")
    return _distinct(folder for folder in named if folder is not None)


def guards(settings: Params) -> list[str]:
    """Aspects that guard or filter another one."""
    rules = [settings.select[aspect] for aspect in settings.aspects]
    named = {name for rule in rules for name in (*rule.guard, *rule.filter)}
    return [aspect for aspect in settings.scored if aspect in named]


def _shown(settings: Params) -> list[str]:
    """List the inputs of the report besides images: scores, picks, losses, gates, results."""
    shown = [str(places.scores(aspect)) for aspect in settings.aspects]
    shown += [str(places.metrics("select", aspect)) for aspect in settings.aspects]
    shown += [str(places.plot("train_lora", aspect)) for aspect in settings.aspects]
    if isinstance(settings.mix.get(params.MIXTURE), Gates):
        mixture = places.adapter(params.MIXTURE) / places.RECIPE
        shown += map(str, (mixture, places.metrics("mix", params.MIXTURE), places.plot("mix", params.MIXTURE)))
    return [*shown, str(places.metrics("evaluate")), str(places.metrics("groups"))]


def code_of_aspects(settings: Params) -> dict[str, str]:
    """aspect -> where its evaluators lie; of an aspect that a plug-in package brings, the digest of the plug-ins."""
    folders = {aspect: Path("versat2i/rewards") / aspect for aspect in settings.scored}
    return {
        aspect: str(folder if (fingerprint.ROOT / folder).is_dir() else plugins.FILE)
        for aspect, folder in folders.items()
    }


def adapters(settings: Params) -> dict[str, str]:
    """variant -> its adapter; a base has none and names the model, or of a model of the hub the prompts once more."""
    base = settings.model.path or settings.model.file or str(places.prompts(SPLIT))
    return {v: base if v in (params.BASE, params.FIRST) else str(places.adapter(v)) for v in settings.evaluate.variants}


def plots(settings: Params) -> list[dict[str, Any]]:
    """Histograms of pool and picks, one an aspect."""
    axes = {"x": "score", "y_label": "share"}
    return [
        {f"scores of {aspect}": axes | {"y": {str(places.plot("select", aspect)): ["pool", "picks"]}}}
        for aspect in settings.aspects
    ]


def artifacts(settings: Params) -> dict[str, dict[str, str]]:
    """Models that other repositories take by name: the gated mixtures and the experts."""
    gated = [variant for variant, rule in settings.mix.items() if isinstance(rule, Gates)]
    described = dict.fromkeys(gated, "The experts and the gate that mixes them")
    described |= dict.fromkeys(settings.aspects, "The expert of this aspect")
    return {
        name: {"path": str(places.adapter(name)), "type": "model", "desc": text} for name, text in described.items()
    }


def fit(pipeline: Any, settings: Params) -> None:
    """Change a dvc.yaml that was read so that it fits params."""
    for stage, listed in inputs(settings).items():
        body = pipeline["stages"][stage]
        body = body.get("do", body)
        code = [dep for dep in body["deps"] if _is_code(dep) and dep not in listed]
        body["deps"] = _changed(body["deps"], [*code, *listed])
    for stage, items in (("score", code_of_aspects(settings)), ("evaluate", adapters(settings))):
        body = pipeline["stages"][stage]
        body["foreach"] = _changed(body["foreach"], items)
    _track(pipeline["stages"]["evaluate"]["do"]["params"], "evaluate.size", settings.evaluate.size is not None)
    for section, content in (("plots", plots(settings)), ("artifacts", artifacts(settings))):
        pipeline[section] = _changed(pipeline.get(section), content)


def _track(listed: Any, param: str, written: bool) -> None:
    """List a param that not every params.yaml has: DVC takes one that is listed and not written for an error."""
    if written and param not in listed:
        listed.insert(0, param)
    elif not written and param in listed:
        listed.remove(param)


def _is_code(dep: str) -> bool:
    """Whether a dep is code of the project, which is written by hand."""
    return dep.startswith(("stages/", "versat2i/")) and dep != str(places.EMBEDDED)


def _changed(old: Any, new: Any) -> Any:
    """The new value as ruamel writes it; the old one with its comments where they are equal."""
    return old if old == new else _styled(new, flow=False)


def _styled(value: Any, flow: bool) -> Any:
    """Lists and mappings for ruamel: the outermost in block style, what is inside on one line."""
    if not isinstance(value, dict | list):
        return value
    found: Any = CommentedMap() if isinstance(value, dict) else CommentedSeq()
    if isinstance(value, dict):
        found.update({key: _styled(each, flow=True) for key, each in value.items()})
    else:
        found.extend(_styled(each, flow=not isinstance(each, dict)) for each in value)
    (found.fa.set_flow_style if flow else found.fa.set_block_style)()
    return found


def _distinct(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def check(file: Path = FILE) -> None:
    """Compare dvc.yaml with params.yaml; a folder without dvc.yaml is no pipeline of DVC.

    Raises:
        ValueError: they differ, or dvc.yaml cannot be read; the first place that differs is named.
    """
    if not file.exists():
        return
    pipeline = _read(YAML(typ="safe"), file)
    fitting = copy.deepcopy(pipeline)
    fit(fitting, params.load())
    if place := _difference(pipeline, fitting, ""):
        raise ValueError(f"{file} does not fit params.yaml ({place}). Run `make graph`, which writes it")


def _difference(old: Any, new: Any, place: str) -> str | None:
    """The first place where two contents differ, with what is there and what should be."""
    if old == new:
        return None
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*new, *old]:
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))
    if isinstance(old, list) and isinstance(new, list):
        lacking, extra = [x for x in new if x not in old], [x for x in old if x not in new]
        return f"{place}: lacks {lacking[0]}" if lacking else f"{place}: has {extra[0]}" if extra else f"{place}: order"
    return f"{place}: is {old}, expected {new}"


def _read(yaml: YAML, file: Path) -> Any:
    try:
        return yaml.load(file.read_text())
    except Exception as error:  # ruamel has many kinds
        raise ValueError(f"{file}: not readable YAML ({' '.join(str(error).split())})") from None


def write(settings: Params, file: Path = FILE) -> bool:
    """Write what follows from params into dvc.yaml.

    Returns:
        whether that changed anything.
    """
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 10_000  # lines are broken by hand
    yaml.preserve_quotes = True
    pipeline = _read(yaml, file)
    before = copy.deepcopy(pipeline)
    fit(pipeline, settings)
    if pipeline == before:
        return False
    for section, text in COMMENTS.items():
        if text not in _dumped(yaml, pipeline):  # it stays where the section before it has not changed
            pipeline.yaml_set_comment_before_after_key(section, before=f"\n{text}")
    with files.new_file(file) as partial:
        partial.write_text(_dumped(yaml, pipeline))
    return True


def _dumped(yaml: YAML, content: Any) -> str:
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue()


@click.command()
def main() -> None:
    """Write the inputs, variants, plots and artifacts that follow from params.yaml into dvc.yaml.

    \b
    Example:
        python -m stages.graph
    """
    try:
        changed = write(params.load())
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{FILE}: {'written' if changed else 'fits params.yaml'}")


if __name__ == "__main__":
    main()
