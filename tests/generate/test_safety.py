"""What the model's own safety checker flags is black, judged by no evaluator, and counted."""

import numpy as np
import pytest
import tiny_families
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from scored import NO_QUESTIONS

from versat2i.evaluate import diversity
from versat2i.formats import shards, tables
from versat2i.generate import painter, plan, safety
from versat2i.rewards.common import scoring
from versat2i.rewards.common.base import FLAGGED, Explained
from versat2i.settings import params, reader
from versat2i.settings.compute import CPU
from versat2i.settings.params import Generate, Model
from versat2i.work import pool

TEXTS = {"p0": "a red circle", "p1": "two blue squares on a navy background", "p2": "a green star"}
KEYS = tuple((prompt_id, k) for prompt_id in TEXTS for k in range(2))
SAMPLING = Generate(steps=1, guidance_scale=1.0, batch_size=4, per_prompt=2, prompts_per_shard=3, safety="drop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random SD 1.5 with a random checker that flags some of what it draws."""
    return tiny_families.folder("sd15 with checker", tmp_path_factory.mktemp("safety") / "sd15")


@pytest.fixture(scope="module")
def settings(folder):
    return Model(path=str(folder), dtype="float32", threads=1)


@pytest.fixture(scope="module")
def drawn(settings, tmp_path_factory):
    """One shard, drawn with the checker and without."""
    shard, found = plan.Shard("00000-000", KEYS, TEXTS), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERSAT2I_WORK", str(tmp_path_factory.mktemp("work")))
        for which in ("drop", "off"):
            recipe = painter.Recipe(settings, None, SAMPLING, 0, CPU, "generate", which)
            _, found[which], new = pool.settled(recipe()(shard))
            assert new
    return found


def flags(folder):
    return [candidate.flagged for candidate in shards.read_all(folder)]


def test_what_is_flagged_is_what_plain_diffusers_flags(folder, drawn):
    plain = StableDiffusionPipeline.from_pretrained(folder)
    for dropped, shown in zip(shards.read_all(drawn["drop"]), shards.read_all(drawn["off"]), strict=True):
        pipe = plain(
            TEXTS[dropped.prompt_id],
            generator=torch.Generator().manual_seed(dropped.seed),
            num_inference_steps=1,
            guidance_scale=1.0,
        )
        assert [dropped.flagged] == pipe.nsfw_content_detected
        np.testing.assert_allclose(dropped.image.astype(int), np.asarray(pipe.images[0]).astype(int), atol=1)
        assert not shown.flagged and shown.image.any()
        if dropped.flagged:
            assert not dropped.image.any() and not dropped.latents.any()
        else:
            np.testing.assert_array_equal(dropped.image, shown.image)
            np.testing.assert_array_equal(dropped.latents, shown.latents)


def test_flagged_candidates_are_counted(drawn):
    expected = sum(flags(drawn["drop"]))
    assert 0 < expected < len(KEYS)
    assert shards.count(drawn["drop"]) == {"candidates": len(KEYS), "flagged": expected}
    assert shards.count(drawn["off"]) == {"candidates": len(KEYS), "flagged": 0}


class Brightness:
    """Notes whom it is asked about; abstains on one, gives details of all."""

    name = metric = "brightness"
    higher_is_better, range, licence = True, (0.0, 255.0), "none"

    def __init__(self):
        self.asked = []

    def score(self, images, prompts):
        verdicts = [Explained(image.mean(), {"mean": image.mean()}) for image in images]
        if not self.asked:
            verdicts[0] = "too dark"
        self.asked += [prompt.prompt_id for prompt in prompts]
        return verdicts


def test_no_evaluator_is_asked_about_a_flagged_image(drawn):
    reward = Brightness()
    (path,) = shards.paths(drawn["drop"])
    table = scoring.score_shards(reward, (path,), scoring.prompts_of(TEXTS, NO_QUESTIONS))
    flagged = np.array(flags(drawn["drop"]))
    assert list(zip(table["prompt_id"], table["k"], strict=True)) == list(KEYS)
    assert (table["abstained"] == FLAGGED).tolist() == flagged.tolist()
    assert table["score"].isna().sum() == flagged.sum() + 1 and (table["abstained"] == "too dark").sum() == 1
    assert reward.asked == [prompt_id for (prompt_id, _), flag in zip(KEYS, flagged, strict=True) if not flag]
    assert table["details"].notna().tolist() == (~flagged & (table["abstained"] != "too dark")).tolist()
    candidates = list(shards.read(path))
    for value, abstained, candidate in zip(table["score"], table["abstained"], candidates, strict=True):
        if abstained is None:
            assert value == candidate.image.mean()


def test_a_batch_of_flagged_images_is_no_error(tmp_path):
    black = np.zeros((4, 4, 3), np.uint8)
    shards.write(tmp_path / "s", [shards.Candidate("p0", k, k, black, np.zeros(1), True) for k in range(2)])
    table = scoring.score_shards(Brightness(), (tmp_path / "s.tar",), scoring.prompts_of(TEXTS, NO_QUESTIONS))
    tables.write("scores", table, tmp_path / "scores.parquet")
    assert tables.read("scores", tmp_path / "scores.parquet")["abstained"].tolist() == [FLAGGED] * 2


def test_flagged_images_have_no_part_in_diversity(tmp_path):
    levels, flagged = [0, 51, 0, 255], [True, False, True, False]
    images = [np.full((4, 4, 3), level, np.uint8) for level in levels]
    made = [shards.Candidate("p0", k, k, image, np.zeros(1), flagged[k]) for k, image in enumerate(images)]
    alone = [shards.Candidate("p1", k, k, images[3], np.zeros(1), k == 1) for k in range(2)]
    shards.write(tmp_path / "s", [*made, *alone])
    table = diversity.of(tmp_path).set_index(["prompt_id", "k"])
    assert table.loc[("p0", 1), "score"] == pytest.approx(0.8) == table.loc[("p0", 3), "score"]
    assert table.loc[("p0", 0), "abstained"] == FLAGGED == table.loc[("p1", 1), "abstained"]
    assert table.loc[("p1", 0), "abstained"] == "the only image of its prompt"


@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl", "sd35"])
def test_a_model_without_a_checker_is_refused_in_one_line(family, tmp_path):
    folder = tiny_families.folder(family, tmp_path / family)
    name = DiffusionPipeline.load_config(folder)["_class_name"]
    with pytest.raises(ValueError) as error:
        safety.load(Model(path=str(folder), dtype="float32", threads=1), "cpu")
    assert str(error.value) == (
        f"generate.safety: drop needs a model with a safety checker, and {folder} (a {name}) has none; Stable "
        "Diffusion 1.5 has one. Write `safety: off` in params.yaml"
    )


def test_the_model_itself_is_loaded_without_its_checker(settings):
    from versat2i.models import diffusion

    assert diffusion.load(settings).pipe.safety_checker is None


def test_the_word_off_is_understood_as_it_is_written():
    """As DVC reads it: to YAML 1.1 it would be false."""
    text = "{steps: 1, guidance_scale: 1.0, batch_size: 1, per_prompt: 1, prompts_per_shard: 1, safety: %s}"
    for word, expected in (("off", "off"), ("'off'", "off"), ("drop", "drop")):
        assert params.Generate.model_validate(reader.parse(text % word)).safety == expected
    for word in ("on", "true", "black"):
        with pytest.raises(ValueError, match="safety"):
            params.Generate.model_validate(reader.parse(text % word))
