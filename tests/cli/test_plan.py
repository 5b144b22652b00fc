"""`versat2i plan --untimed` counts, and loads nothing."""

import pytest
import yaml
from commands import run

from versat2i.tools import plan


@pytest.fixture
def counted(clone, monkeypatch):
    """The rows for 3 prompts with 5 candidates, of which 2 prompts with 4 images are evaluated in 2 variants."""
    monkeypatch.setattr(plan, "measure", None)
    path = clone / "params.yaml"
    settings = yaml.safe_load(path.read_text())
    amounts = {"train": 3, "dev": 2, "eval": 2}
    settings["prompts"] = {split: [{"grammar": n, "held_out": 0.0, "seed": 0}] for split, n in amounts.items()}
    settings["generate"]["per_prompt"] = 5
    settings["evaluate"] |= {"per_prompt": 4, "variants": ["base", "geometry"], "judges": []}
    path.write_text(yaml.safe_dump(settings))
    result = run("plan", "--untimed")
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()]


def test_every_candidate_is_drawn_once_and_scored_once_an_aspect(counted):
    rows = [(row[0], row[-2], row[-1]) for row in counted]
    assert ("generate", "15", "images") in rows
    assert [row for row in rows if row[0].startswith("score@")] == [
        (f"score@{aspect}", "15", "images") for aspect in ("aesthetic", "faithfulness", "geometry", "low_level")
    ]


def test_every_variant_draws_the_prompts_of_the_split_and_each_image_is_scored_by_all(counted):
    shown = [row for row in counted if row[0] == "evaluate"]
    assert {row[-2] for row in shown} == {"16"} and len(shown) == 1 + 4
