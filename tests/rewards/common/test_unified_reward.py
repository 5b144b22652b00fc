"""One reply gives three aspects; it is asked for once, also where three stages ask at the same time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from direct import TEXTS
from model_server import ModelServer
from scored import scored

from versat2i import rewards
from versat2i.rewards.common import unified_reward
from versat2i.settings.compute import Compute, Server
from versat2i.settings.params import Reward

ASPECTS = {"faithfulness": "alignment", "geometry": "coherence", "aesthetic": "style"}
PROMPTS = [rewards.Prompt(f"p{place}", text) for place, text in enumerate(TEXTS[:3])]


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    return tmp_path


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


def served(server, aspect, **options):
    machine = Compute(device="cpu", servers={"here": Server(url=server.url)})
    chosen = {"evaluator": "unified_reward", "model": "a/model", "server": "here", "part": ASPECTS[aspect]} | options
    return rewards.from_params(aspect, Reward(**chosen), machine)


def rating(body, image, text):
    """Style by how bright the image is, the rest by nothing."""
    return f"Alignment Score (1-5): 4.5\nCoherence Score (1-5): 2\nStyle Score (1-5): {1 + image.mean() / 64:.2f}"


@pytest.mark.parametrize(
    "reply, expected",
    [
        ("Alignment Score (1-5): 3.62\nCoherence Score (1-5): 4\nStyle Score (1-5): 2.5", (3.62, 4.0, 2.5)),
        ("**Alignment:** 3, **Style**: 5", (3.0, None, 5.0)),
        ("alignment score: 1. Alignment score: 5", (1.0, None, None)),
        ("A fine image.", (None, None, None)),
    ],
)
def test_ratings_are_found_in_a_reply(reply, expected):
    assert tuple(map(unified_reward.ratings(reply).get, unified_reward.PARTS)) == expected


def test_three_aspects_are_scored_from_one_call(images):
    with ModelServer(rating) as server:
        found = {aspect: rewards.judged(served(server, aspect), images, PROMPTS) for aspect in ASPECTS}
    assert len(server.bodies) == len(images)
    assert found["faithfulness"] == [4.5] * 3 and found["geometry"] == [2.0] * 3
    expected = [round(1 + image.mean() / 64, 2) for image in images]
    assert found["aesthetic"] == pytest.approx(expected)
    assert all("Alignment" in verdict.details["reply"] for verdict in found["aesthetic"])
    assert [served(server, aspect).metric for aspect in ASPECTS] == [f"unified_{part}" for part in ASPECTS.values()]


def test_a_reply_is_asked_for_once_by_stages_that_run_side_by_side(images):
    with ModelServer(rating) as server, ThreadPoolExecutor(3) as pool:
        server.pause = 0.1
        made = [served(server, aspect) for aspect in ASPECTS]
        found = list(pool.map(lambda reward: rewards.judged(reward, images, PROMPTS), made))
    assert len(server.bodies) == len(images)
    assert [len(verdicts) for verdicts in found] == [3, 3, 3]


def test_other_prompts_images_or_questions_are_asked_about_anew(images):
    with ModelServer(rating) as server:
        rewards.judged(served(server, "aesthetic"), images, PROMPTS)
        rewards.judged(served(server, "aesthetic"), images, PROMPTS[::-1])
        rewards.judged(served(server, "aesthetic"), images[::-1], PROMPTS)
        rewards.judged(served(server, "aesthetic", question="Rate {prompt}"), images, PROMPTS)
    assert len(server.bodies) == 4 * len(images)
    assert server.bodies[-1]["messages"][0]["content"][1]["text"].startswith("Rate ")


@pytest.mark.parametrize(
    "reply, reason", [("Style: great", "no style in the reply"), ("Style: 9", "style 9 is not within")]
)
def test_a_reply_without_a_rating_is_a_reason_to_abstain(images, reply, reason):
    with ModelServer(lambda *_: reply) as server:
        verdicts = rewards.judged(served(server, "aesthetic"), images[:1], PROMPTS[:1])
    assert reason in verdicts[0]


def test_a_stage_that_dies_while_it_asks_leaves_nothing_behind(images, work):
    with ModelServer(rating) as server:
        server.failures = [(400, "no")]
        with pytest.raises(ValueError, match="answers 400"):
            rewards.judged(served(server, "aesthetic"), images, PROMPTS)
        assert [path.name[:5] for path in (work / "replies").iterdir()] == [".lock"]
        assert len(rewards.judged(served(server, "aesthetic"), images, PROMPTS)) == 3


def test_a_model_that_is_loaded_here_is_asked_too(folders, noises, captions):
    reward = rewards.load("aesthetic", "unified_reward", model=folders("llava"), part="style", tokens=4, batch_size=2)
    found = scored(reward, noises, captions)
    assert all(reason is not None for reason in found.reasons)  # a random model says no numbers
    assert found.reasons[0].startswith("no style in the reply")


def test_a_part_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="'beauty' is none of alignment, coherence, style"):
        rewards.load("aesthetic", "unified_reward", model="a@0123456", part="beauty")
