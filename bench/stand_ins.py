"""Stages that need no model, for `bench.scale`: they take next to no time, and what they write is what stages write.

``generate`` and ``score`` are the stages themselves, work store included, around a model and evaluators that answer at
once; ``pool`` and ``scores`` write the same tables and shards without the work store.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

SIDE, LATENT, KEPT = 8, 1, 8  # pixels to a side of an image and of its latents; different images, given in turn
ASKED = 5  # questions about a prompt
WORDS = ("red", "blue", "green", "yellow", "orange", "purple", "white", "black")
SHAPES = ("circle", "square", "star", "heart", "cross", "diamond", "triangle", "ring")
AT_ONCE = {"generate": "pool", "score": "scores"}  # stage -> stand-in without the work store


def _prompts() -> None:
    """As many prompts as params say of each split, with questions."""
    import pandas as pd

    from versat2i.formats import metrics, tables
    from versat2i.prompts.records import YES_NO, Prompt, question, to_tables
    from versat2i.settings import params
    from versat2i.work import places

    settings = params.load().prompts
    start, counts = 0, {}
    for split in ("dev", "eval", "train"):  # train last: it may grow
        amount = getattr(settings, split)[0].grammar
        asked = [
            question(f"q{number}", f"Is there a {SHAPES[number]}?", YES_NO, "yes", "object") for number in range(ASKED)
        ]
        made = [Prompt(text(number), f"bench:{number % 2}", "bench", asked) for number in range(start, start + amount)]
        start += amount
        prompts, questions, _ = to_tables(made)
        tables.write("prompts", prompts, places.prompts(split))
        tables.write("questions", pd.DataFrame(questions), places.questions(split))
        counts[split] = {"prompts": len(prompts), "questions": len(questions)}
    metrics.write_json(counts, places.metrics("prompts"))


def text(number: int) -> str:
    """A sentence for each number, of its octal digits."""
    digits = [int(digit) for digit in f"{number:08o}"]
    things = zip(digits[::2], digits[1::2], strict=True)
    return " and ".join(f"a {WORDS[word]} {SHAPES[shape]}" for word, shape in things)


def _images() -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (KEPT, SIDE, SIDE, 3), dtype=np.uint8)


class Device:
    """A model that draws at once."""

    def __init__(self) -> None:
        self.images = _images()

    def embed(self, texts: list[str]) -> Any:
        import torch

        from versat2i.models.diffusion import Embeddings

        return Embeddings(torch.zeros(len(texts), 2, 1), torch.ones(len(texts), 2, dtype=torch.bool))

    def draw(self, embeddings: Any, empty: Any, seeds: list[int], *_: object) -> Any:
        import torch

        return torch.zeros(len(seeds), 1, LATENT, LATENT)

    def decode(self, latents: Any) -> Any:
        import numpy as np

        return self.images[np.arange(len(latents)) % KEPT]


class Evaluator:
    """A reward of numbers by chance, with the details that a question answerer gives.

    Args:
        real: the evaluator that it stands for.
    """

    weights = ()

    def __init__(self, real: Any) -> None:
        self.name, self.metric, self.range, self.licence = real.name, real.metric, real.range, real.licence
        self.higher_is_better, self.asks = real.higher_is_better, real.metric == "tifa"

    def score(self, images: Any, prompts: list[Any]) -> list[Any]:
        import zlib

        import numpy as np

        from versat2i.rewards.common.base import Explained

        seed = zlib.crc32(f"{self.metric} {prompts[0].prompt_id} {prompts[-1].prompt_id}".encode())
        values = np.random.default_rng(seed).random(len(images)).tolist()
        if not self.asks:
            return values
        return [Explained(round(value * ASKED) / ASKED, details(value)) for value in values]


def details(value: float) -> dict[str, Any]:
    """Answers to a prompt's questions, of which a share is right."""
    right = round(value * ASKED)
    rows = [
        {
            "answer": "yes" if number < right else "no",
            "correct": number < right,
            "element_type": "object",
            "expected": "yes",
            "question": f"Is there a {SHAPES[number]}?",
            "question_id": f"q{number}",
        }
        for number in range(ASKED)
    ]
    return {"answers": rows}


def _write(folder: Path, blocks: dict[str, list[tuple[str, int]]]) -> None:
    """Shards of candidates whose images are encoded once, as `shards.write` would write them."""
    import numpy as np

    from versat2i.formats import shards

    latents = np.zeros((1, LATENT, LATENT), np.float32)
    images = [(image, *shards.members(shards.Candidate("", 0, 0, image, latents))) for image in _images()]
    for name, keys in blocks.items():
        chosen = (images[number % KEPT] for number in range(len(keys)))
        drawn = (
            (shards.Candidate(p, k, k, i, latents), *data) for (p, k), (i, *data) in zip(keys, chosen, strict=True)
        )
        shards.write_encoded(folder / name, drawn)


def _pool() -> None:
    """Candidates in the place of `generate`'s, written at once without the work store."""
    from versat2i.formats import metrics, shards, tables
    from versat2i.generate import plan
    from versat2i.settings import params
    from versat2i.work import files, places

    options = params.load().generate
    texts = tables.texts(places.prompts("train"))
    with files.replaced(places.IMAGES) as out:
        _write(out, plan.blocks(list(texts), options.per_prompt, options.prompts_per_shard))
    metrics.write_json(shards.count(places.IMAGES), places.metrics("generate"))


def _scores(aspect: str) -> None:
    """Scores in the place of `score`'s, written at once without looking at an image."""
    import numpy as np
    import pandas as pd

    from versat2i.formats import tables
    from versat2i.rewards.common import registry
    from versat2i.settings import params
    from versat2i.work import places

    settings = params.load()
    measure = registry.measure(aspect, settings.rewards[aspect])
    ids = list(tables.texts(places.prompts("train")))
    drawn = settings.generate.per_prompt
    values = np.random.default_rng(list(aspect.encode())).random(len(ids) * drawn)
    frame = pd.DataFrame({"prompt_id": np.repeat(ids, drawn), "k": np.tile(np.arange(drawn), len(ids))})
    told = [_json(details(value)) for value in values] if measure.metric == "tifa" else None
    tables.write(
        "scores",
        frame.assign(score=values, merit=values, abstained=None, details=told),
        places.scores(aspect),
        [measure],
    )


def _generate() -> None:
    from versat2i.models import diffusion

    diffusion.load = lambda *_: Device()  # type: ignore[assignment, return-value]
    import_module("stages.generate").main.main([], standalone_mode=False)


def _score(aspect: str) -> None:
    from versat2i.rewards.common import registry

    real = registry.from_params
    registry.from_params = lambda *given: Evaluator(real(*given))  # type: ignore[assignment]
    import_module("stages.score").main.main([aspect], standalone_mode=False)


def _train_lora(aspect: str) -> None:
    _trained("train_lora", aspect)


def _mix(name: str) -> None:
    from versat2i.formats import metrics
    from versat2i.settings import params
    from versat2i.work import places

    aspects = params.load().aspects
    _trained("mix", name)
    gates = dict.fromkeys(aspects, 1 / len(aspects))
    told = {"gate": gates, "entropy": 1.0, "distance": 0.0, "scale": 1.0, "temperature": 1.0}
    metrics.write_json(told, places.metrics("mix", name))
    recipe = {
        "scope": "token",
        "metadata": {},
        "experts": [{"name": aspect, "rank": 1, "alpha": 1.0, "metadata": {}} for aspect in aspects],
        "mean_gates": {f"block.{layer}": list(gates.values()) for layer in range(8)},
    }
    metrics.write_json(recipe, places.adapter(name) / places.RECIPE)


def _trained(stage: str, name: str) -> None:
    """An adapter of no layers, a loss and a metric."""
    import pandas as pd

    from versat2i.formats import metrics
    from versat2i.work import places

    metrics.write_json({}, places.adapter(name) / "adapter.json")
    metrics.write_json({"loss": 1.0}, places.metrics(stage, name))
    metrics.write_csv(pd.DataFrame({"step": range(1, 101), "loss": 1.0}), places.plot(stage, name))


def _evaluate(variant: str) -> None:
    """Images and scores of a variant, without a model."""
    import numpy as np
    import pandas as pd

    from versat2i.evaluate import score
    from versat2i.formats import tables
    from versat2i.generate import plan
    from versat2i.settings import params
    from versat2i.work import files, places

    settings = params.load()
    options = settings.evaluate
    rng = np.random.default_rng(list(variant.encode()))
    texts = tables.texts(places.prompts(options.split))
    blocks = plan.blocks(list(texts), options.per_prompt, options.prompts_per_shard)
    measures = score.measures(score.of_aspects(settings) + score.of_judges(settings))
    keys = pd.DataFrame([key for block in blocks.values() for key in block], columns=["prompt_id", "k"])
    frames = []
    for measure in measures:
        values = rng.random(len(keys))
        frame = keys.assign(metric=measure.metric, score=values, abstained=None, details=None)
        frame["merit"] = values if measure.higher_is_better else -values
        if measure.metric == "tifa":
            frame["details"] = [_json(details(value)) for value in values]
        frames.append(frame)
    with files.replaced(places.evaluation(variant)) as out:
        (out / "images").mkdir()
        _write(out / "images", blocks)
        tables.write("evaluation", pd.concat(frames, ignore_index=True), out / "scores.parquet", measures)


def _everything() -> None:
    """All stand-ins, in one process."""
    from versat2i.settings import params

    settings = params.load()
    _prompts()
    _pool()
    for aspect in settings.aspects:
        _scores(aspect)
        _train_lora(aspect)
    for name in settings.mix:
        _mix(name)
    for variant in settings.evaluate.variants:
        _evaluate(variant)


def _json(content: dict[str, Any]) -> str:
    import json

    return json.dumps(content, sort_keys=True)


MAKE: dict[str, Callable[..., None]] = {
    "prompts": _prompts,
    "generate": _generate,
    "score": _score,
    "everything": _everything,
    "pool": _pool,
    "scores": _scores,
    "train_lora": _train_lora,
    "mix": _mix,
    "evaluate": _evaluate,
}


@click.command()
@click.argument("stage", type=click.Choice(list(MAKE)))
@click.argument("argument", required=False)
def main(stage: str, argument: str | None) -> None:
    """Run a stand-in in the current folder, a project of `bench.scale`.

    \b
    Example:
        python -m bench.stand_ins score geometry
    """
    MAKE[stage](*([] if argument is None else [argument]))


if __name__ == "__main__":
    main()
