"""Pools, selected sets and whole params for tests, small enough to make in every test."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from versat2i.formats import shards
from versat2i.select import chosen
from versat2i.settings import params

TEXTS = {"p0": "a red circle", "p1": "two blue squares on a navy background", "p2": "a green star"}

TRAINING = {"objective": "sft", "lr_scheduler": "constant", "timesteps": [0.0, 1.0], "min_snr": None}
LORA = TRAINING | {
    "rank": 2,
    "alpha": 2.0,
    "targets": "attention",
    "steps": 3,
    "batch_size": 2,
    "learning_rate": 1.0e-2,
    "caption_dropout": 0.1,
    "checkpoint_every": 2,
}


GATES = {"kind": "gates", "scope": "token", "scale": 1.0, "balance": 0.01}


def candidate(prompt_id: str, k: int, latent_channels: int = 4) -> shards.Candidate:
    """A candidate of noise, different for each prompt and k."""
    generator = torch.Generator().manual_seed(1000 * int(prompt_id[1:]) + k)
    image = torch.randint(0, 256, (64, 64, 3), generator=generator, dtype=torch.uint8).numpy()
    return shards.Candidate(prompt_id, k, k, image, torch.randn(latent_channels, 16, 16, generator=generator).numpy())


def pool(folder: Path, texts: dict[str, str] = TEXTS, per_prompt: int = 2) -> Path:
    """Candidates of each prompt in one shard."""
    shards.write(folder / "00000-000", [candidate(prompt_id, k) for prompt_id in texts for k in range(per_prompt)])
    return folder


def selected(folder: Path, texts: dict[str, str] = TEXTS, per_prompt: int = 2) -> Path:
    """A selected set: every candidate of a pool is a pick, candidate 0 the rival of all, k / 2 worse."""
    keys = [(prompt_id, k) for prompt_id in texts for k in range(per_prompt)]
    picks = pd.DataFrame(keys, columns=["prompt_id", "k"]).assign(score=1.0, rank=1, rival=0)
    picks["gap"] = 0.5 * picks["k"]
    folder.mkdir(parents=True)
    chosen.copy(pool(folder.with_name(f"{folder.name}-pool"), texts, per_prompt), picks, picks.head(0), texts, folder)
    return folder


def settings(model: params.Model, aspects: tuple[str, ...] = ("colour", "form"), **mix: object) -> params.Params:
    """Params of a pipeline with these aspects."""
    sampling = {"steps": 1, "guidance_scale": 1.0, "batch_size": 4, "per_prompt": 2, "prompts_per_shard": 2}
    training = {name: LORA[name] for name in LORA.keys() - {"rank", "alpha", "targets"}}
    rule = {"threshold": {"quantile": 0.0}, "per_prompt": 1, "margin": 0.0, "min_selected": 1, "guard": []}
    source = [{"grammar": 3, "held_out": 0.0, "seed": 0}]
    return params.Params.model_validate(
        {
            "seed": 0,
            "aspects": list(aspects),
            "model": model.model_dump(),
            "prompts": {"train": source, "dev": source, "eval": source},
            "generate": sampling | {"safety": "off"},
            "rewards": {aspect: {"evaluator": "random"} for aspect in aspects},
            "select": dict.fromkeys(aspects, rule),
            "train_lora": {aspect: LORA | {"rank": 2 + i, "steps": 3 + i} for i, aspect in enumerate(aspects)},
            "mix": {"mixture": GATES | training | mix, "uniform": {"kind": "uniform"}},
            "evaluate": sampling | {"split": "dev", "variants": ["base"], "judges": [], "resamples": 100},
        }
    )


def yaml_text(content: dict) -> str:
    """Settings as YAML; a part that stands in two places is written out, not aliased."""
    return yaml.safe_dump(json.loads(json.dumps(content)))


def flat(colour: int) -> np.ndarray:
    """An image of one gray."""
    return np.full((64, 64, 3), colour, np.uint8)


def variant(folder: Path, grays: dict[str, list[int]], stripe: int = 0) -> Path:
    """Images of one gray: ``{prompt_id: [gray, ...]}``, a shard a prompt.

    A `stripe` is added to every other column and taken from the rest: such an image is not blank and has the same mean.
    """
    stripes = np.where(np.arange(64) % 2, stripe, -stripe)[None, :, None]
    for number, (prompt_id, values) in enumerate(grays.items()):
        images = [(flat(gray) + stripes).astype(np.uint8) for gray in values]
        candidates = [dataclasses.replace(candidate(prompt_id, k), image=image) for k, image in enumerate(images)]
        shards.write(folder / f"{number:05d}-000", candidates)
    return folder
