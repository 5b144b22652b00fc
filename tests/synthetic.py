"""A whole run of the pipeline without a model: scenes are drawn where a model would draw, the rest is real.

The further a variant is from base the fewer flaws its drawings have, so that there is something to see.
"""

import dataclasses
import json
import random
from pathlib import Path

import drawn
import numpy as np
import pandas as pd
import torch
import yaml

from versat2i import rewards
from versat2i.compare import statistics
from versat2i.evaluate import diversity, score
from versat2i.formats import metrics as metric_files
from versat2i.formats import shards, tables
from versat2i.generate import plan
from versat2i.prompts import sources
from versat2i.rewards.common import registry, scoring
from versat2i.seeds import stable_seed
from versat2i.select import chosen as chosen_files
from versat2i.select import rule
from versat2i.settings import environment, params
from versat2i.shapes.world import drawing, grammar
from versat2i.work import fingerprint, places

HOSTILE = "</title></script><script>alert(1)</script><img src=x onerror=alert(2)> 'q' \"q\" & {{ 7 * 7 }} $x$ \u2028"
VARIANTS = ("base", "geometry", "uniform", "mixture")
LAYERS = [f"down_blocks.{block}.attentions.0.attn1.to_{part}" for block in (9, 10) for part in ("q", "k")]
REVISION = "0123456789abcdef"  # of the base model that the mixture was made for
PER_PROMPT = 2
FLAWS = drawing.Flaws(noise=16.0, blur=1.2, jitter=20.0, rotation=12.0, bend=0.14, fade=0.5)


def settings() -> params.Params:
    """The project's own params, smaller."""
    content = yaml.safe_load((fingerprint.ROOT / "params.yaml").read_text())
    content["prompts"] = {
        "train": [{"grammar": 5, "held_out": 0.0, "seed": 1}],
        "dev": [{"grammar": 2, "held_out": 0.0, "seed": 2}],
        "eval": [{"grammar": 4, "held_out": 0.5, "seed": 3}],
    }
    content["evaluate"] |= {"per_prompt": PER_PROMPT, "resamples": 200, "judges": [{"evaluator": "random"}]}
    content["evaluate"]["variants"] = list(VARIANTS)
    return params.parse(drawn.yaml_text(content))


def write() -> params.Params:
    """Write a run into the current folder."""
    chosen = settings()
    content = chosen.model_dump()
    content["rewards"] = {aspect: {"evaluator": e.evaluator, **e.options} for aspect, e in chosen.rewards.items()}
    content["evaluate"]["judges"] = [{"evaluator": e.evaluator, **e.options} for e in chosen.evaluate.judges]
    Path("params.yaml").write_text(drawn.yaml_text(content))
    environment.write()
    for split, (texts, questions, _) in sources.collect(chosen.prompts).items():
        tables.write("prompts", texts, places.prompts(split))
        tables.write("questions", questions, places.questions(split))
    _select(chosen)
    _train(chosen)
    _evaluate(chosen)
    _compare(chosen)
    return chosen


def image(text: str, k: int, share: float) -> np.ndarray:
    """A drawing of a prompt with a share of `FLAWS`; which thing stands where is that of (prompt, k)."""
    flaws = drawing.Flaws(**{name: share * value for name, value in dataclasses.asdict(FLAWS).items()})
    return drawing.draw(grammar.parse(text), random.Random(stable_seed("drawn", text, k)), flaws)


def draw(folder: Path, texts: dict[str, str], per_prompt: int, share: float) -> Path:
    """Shards of drawings, two prompts a shard."""
    for name, keys in plan.blocks(list(texts), per_prompt, 2).items():
        drawn = [
            shards.Candidate(prompt_id, k, k, image(texts[prompt_id], k, share * (1 + k) / per_prompt), torch.zeros(1))
            for prompt_id, k in keys
        ]
        shards.write(folder / name, drawn)
    return folder


def _select(chosen: params.Params) -> None:
    texts, questions = tables.texts(places.prompts("train")), tables.read("questions", places.questions("train"))
    pool = draw(Path("pool"), texts, 3, 1.0)
    for aspect in chosen.aspects:
        reward = rewards.load(aspect, chosen.rewards[aspect].evaluator, **chosen.rewards[aspect].options)
        scores = _scored(reward, pool, texts, questions)
        measure = registry.measure(aspect, chosen.rewards[aspect])
        tables.write("scores", scores, places.scores(aspect), [measure])
        picks = rule.pick(scores, measure, quantile=0.2, per_prompt=1, margin=0.0, min_selected=1, label=aspect)
        picks = rule.rivals(scores, picks)
        rejected = rule.rejected(scores, picks, 4)
        places.selected(aspect).mkdir(parents=True)
        chosen_files.copy(pool, picks, rejected, texts, places.selected(aspect))
        summary = rule.summary(scores, picks, threshold=rule.cutoff(scores, measure, quantile=0.2))
        metric_files.write_json(summary, places.metrics("select", aspect))


def _train(chosen: params.Params) -> None:
    """Losses that fall, and gates that differ from layer to layer."""
    for number, place in enumerate([*[("train_lora", aspect) for aspect in chosen.aspects], ("mix", "mixture")]):
        steps = np.arange(1, 301)
        noise = np.random.default_rng(number).normal(0, 0.02, len(steps))
        metric_files.write_csv(
            pd.DataFrame({"step": steps, "loss": 0.2 + 0.3 / np.sqrt(steps) + noise}), places.plot(*place)
        )
    raw = np.random.default_rng(0).random((len(LAYERS), len(chosen.aspects)))
    gates = pd.DataFrame(raw / raw.sum(1, keepdims=True), LAYERS, chosen.aspects)
    recipe = {
        "scope": "token",
        "metadata": {"revision": REVISION},
        "experts": [{"name": name, "rank": 2, "alpha": 2.0, "metadata": {}} for name in gates],
        "mean_gates": dict(zip(LAYERS, gates.values.tolist(), strict=True)),
    }
    metric_files.write_json(recipe, places.adapter("mixture") / places.RECIPE)
    numbers = {"entropy": 0.9, "distance": 0.2, "scale": 1.1, "temperature": 0.8}
    metric_files.write_json({"gate": gates.mean().to_dict(), **numbers}, places.metrics("mix", "mixture"))


def _evaluate(chosen: params.Params) -> None:
    """Images of each variant, scored by all; then one prompt gets hostile texts, questions and a hostile reason."""
    texts, questions = tables.texts(places.prompts("eval")), tables.read("questions", places.questions("eval"))
    first = next(iter(texts))
    for number, variant in enumerate(VARIANTS):
        folder = draw(places.evaluation(variant) / "images", texts, PER_PROMPT, 1 - number / len(VARIANTS))
        scores = pd.concat([_scores(chosen, folder, texts, questions), diversity.of(folder)])
        theirs = (scores["prompt_id"] == first) & (scores["k"] == 0)
        scores.loc[theirs, "details"] = scores.loc[theirs, "details"].map(_hostile)
        scores.loc[theirs & (scores["metric"] == "aesthetic"), ["score", "merit", "abstained"]] = [
            np.nan,
            np.nan,
            HOSTILE,
        ]
        about = score.measures(score.of_aspects(chosen) + score.of_judges(chosen))
        tables.write("evaluation", scores, places.evaluation(variant) / "scores.parquet", about)
    for split in ("train", "eval"):
        prompts = tables.read("prompts", places.prompts(split))
        prompts.loc[0, ["text", "category", "source"]] = HOSTILE
        tables.write("prompts", prompts, places.prompts(split))


def _scores(chosen: params.Params, folder: Path, texts: dict[str, str], questions: pd.DataFrame) -> pd.DataFrame:
    """As `score.score`, without the work store: hashing the code for each shard takes longer than to score it."""
    judges = [(score.JUDGES, judge) for judge in chosen.evaluate.judges]
    frames = []
    for aspect, evaluator in [*((aspect, chosen.rewards[aspect]) for aspect in chosen.aspects), *judges]:
        reward = rewards.load(aspect, evaluator.evaluator, **evaluator.options)
        frames.append(_scored(reward, folder, texts, questions).assign(metric=reward.metric))
    return pd.concat(frames)


def _scored(reward: rewards.Reward, folder: Path, texts: dict[str, str], questions: pd.DataFrame) -> pd.DataFrame:
    prompts = scoring.prompts_of(texts, questions)
    parts = [scoring.score_shards(reward, unit, prompts) for unit in scoring.units(folder, reward)]
    return pd.concat(parts, ignore_index=True)


def _hostile(details: str | None) -> str | None:
    """Answers to questions, made hostile."""
    answers = json.loads(details).get("answers") if isinstance(details, str) else None
    if not answers:
        return details
    rows = [row | {"question": HOSTILE, "expected": HOSTILE, "answer": HOSTILE, "correct": False} for row in answers]
    return json.dumps({"answers": rows})


def _compare(chosen: params.Params) -> None:
    scores = {
        variant: statistics.by_metric(tables.read("evaluation", places.evaluation(variant) / "scores.parquet"))
        for variant in VARIANTS
    }
    metrics = [measure.metric for measure in score.measures(score.of_aspects(chosen)) if measure.aspect]
    options = {"metrics": metrics, "seed": 0, "resamples": chosen.evaluate.resamples}
    metric_files.write_json(statistics.compare(scores, **options), places.metrics("evaluate"))
    groups = tables.read("prompts", places.prompts("eval")).set_index("prompt_id")["source"]
    metric_files.write_json(statistics.by_group(scores, groups, **options), places.metrics("groups"))
