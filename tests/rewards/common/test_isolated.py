"""A reward in a second Python environment, whose versions are not ours."""

import gc
import signal
import subprocess
import sys
import sysconfig
from importlib.metadata import EntryPoint

import drawn
import numpy as np
import pandas as pd
import pytest
import yaml
from distributions import package
from scored import NO_QUESTIONS, scored

from versat2i import rewards
from versat2i.rewards.common import registry, scoring
from versat2i.settings import compute, params
from versat2i.tools import fetch as fetching

LOCK = "gauge==2.0\ntheir_reward==1.0  # the package that has the evaluator\n"
PROMPTS = pd.DataFrame({"prompt_id": ["a", "b", "c"], "text": ["half", "blank", "naïve"], "k": [0, 0, 0]})

# Of the package `gauge`, environment two has version 2.0 and this one 1.0: no process could have both.
THEIRS = """
import os, signal, sys
import gauge

print("a library that greets on standard output", flush=True)

class Gauged:
    name, metric, higher_is_better, range, licence = "gauged", "gauged", True, (0.0, 10.0), "MIT"

    def __init__(self, device, offset=0.0, metric="gauged", protocol=None):
        self.device, self.offset, self.metric = device, offset, metric

    def fetch(self):
        if self.offset < 0:
            raise OSError("no hub\\nthere")
        with open("fetched", "w") as file:
            file.write(f"{gauge.VERSION} {self.offset}")

    def score(self, images, prompts):
        words = [prompt.text for prompt in prompts]
        if "die" in words:
            sys.exit("out of luck")
        if "killed" in words:
            os.kill(os.getpid(), signal.SIGKILL)
        if "raise" in words:
            raise RuntimeError("two\\nlines")
        if "few" in words:
            return []
        if "odd" in words:
            return [None]
        if "asked" in words:
            return [len(prompts[0].questions[0]["choices"]) + len(prompts[0].questions) / 10]
        return [
            "too dark" if image.max() < 9 else gauge.VERSION + self.offset + image.mean() / 255 + (word == "naïve")
            for image, word in zip(images, words)
        ]

class Quiet:
    name, metric, higher_is_better, range, licence = "quiet", "quiet", True, (0.0, 1.0), "MIT"

    def __init__(self, device):
        pass

    def score(self, images, prompts):
        return [0.0] * len(images)
"""


class Gauged:
    """What this environment knows of the evaluator: its five attributes."""

    name, metric, higher_is_better, range, licence = "gauged", "gauged", True, (0.0, 10.0), "MIT"


class Quiet:
    """Another, that downloads nothing."""

    name, metric, higher_is_better, range, licence = "quiet", "quiet", True, (0.0, 1.0), "MIT"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A second environment with packages of its own, and numpy from ours."""
    folder = tmp_path_factory.mktemp("environment") / "two"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(sysconfig.get_paths()["purelib"])  # looked through last
    package(site, "gauge", "2.0", "VERSION = 2.0\n")
    names = {"gauged": "Gauged", "piqe": "Gauged", "quiet": "Quiet"}
    points = [f"low_level.{name} = their_reward:{kind}" for name, kind in names.items()]
    package(site, "their_reward", "1.0", THEIRS, "\n".join(["[versat2i.rewards]", *points]))
    return folder


@pytest.fixture
def place(tmp_path, environment, monkeypatch):
    """A project's folder that knows the evaluator and where the environment lies; ours has gauge 1.0."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").mkdir()
    package(tmp_path / "ours", "gauge", "1.0", "VERSION = 1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "ours")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "ours"))  # must not reach the other side
    points = [EntryPoint(f"low_level.{k.name}", f"{__name__}:{k.__name__}", registry.GROUP) for k in (Gauged, Quiet)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    (tmp_path / "two.lock").write_text(LOCK)
    machine = {"device": "cpu", "environments": {"two": str(environment)}}
    (tmp_path / "compute.yaml").write_text(yaml.safe_dump(machine))
    return tmp_path


def chosen(**options):
    return params.Reward(evaluator="gauged", environment={"name": "two", "lock": "two.lock"}, **options)


def images():
    """Half white, blank, and dark."""
    made = np.zeros((3, 4, 6, 3), np.uint8)
    made[0, :2] = 255
    made[2, 0, 0] = 8
    return made


def made(**options):
    return rewards.from_params("low_level", chosen(**options), compute.load())


def score(prompts=PROMPTS, pictures=None, questions=None, **options):
    pictures = images()[: len(prompts)] if pictures is None else pictures
    return scored(made(**options), pictures, prompts, questions)


def problem(text=None, **options):
    """The one line that a score ends with."""
    with pytest.raises(ValueError) as error:
        score(PROMPTS[:1].assign(text=text or "half"), **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_it_is_scored_by_the_other_environments_versions(place):
    import gauge

    assert gauge.VERSION == 1.0
    found = score(offset=0.25)
    np.testing.assert_array_equal(found.values, [2.75, np.nan, np.nan])
    assert found.reasons == [None, "the image is blank", "too dark"]


def test_images_texts_and_questions_arrive_as_they_are(place):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    found = score(pictures=noise)
    np.testing.assert_allclose(found.values, 2.0 + noise.mean((1, 2, 3)) / 255 + np.array([0, 0, 1]))
    rows = {"prompt_id": ["a", "a", "z"], "question": "Is it?", "choices": [np.array(["yes", "no", "so"])] * 3}
    questions = pd.DataFrame(rows | {"parent_ids": [np.array([])] * 3})
    assert score(PROMPTS[:1].assign(text="asked"), questions=questions).values == [3.2]


def test_what_it_is_can_be_said_without_starting_it(place):
    (place / "compute.yaml").unlink()  # as on the machine of a teammate who has no such environment
    reward = rewards.from_params("low_level", chosen())
    assert (reward.metric, reward.higher_is_better, reward.range, reward.licence) == (
        "gauged",
        True,
        (0.0, 10.0),
        "MIT",
    )
    found = scored(reward, np.zeros((1, 4, 4, 3), np.uint8), PROMPTS[:1])  # nothing to ask either
    assert found.reasons == ["the image is blank"]


def test_the_process_ends_with_its_reward(place):
    reward = made()
    scored(reward, images(), PROMPTS)
    process = reward._process._process
    assert process.poll() is None
    del reward
    gc.collect()
    assert process.poll() == 0


def fetch(evaluator="gauged", **options):
    """What `make fetch` does for that evaluator: the name of each thing that it looks for."""
    settings = drawn.settings(params.Model(path="nowhere", dtype="float32", threads=1), ("low_level",))
    reward = chosen(**options).model_copy(update={"evaluator": evaluator})
    needs = fetching.needs(settings.model_copy(update={"rewards": {"low_level": reward}}), compute.load())
    for need in needs:
        need.fetch()
    return [need.name for need in needs]


def test_what_it_loads_there_is_downloaded_there_ahead_of_time(place):
    assert fetch(offset=0.25) == ["low_level gauged: low_level.gauged in environment 'two'"]
    assert (place / "fetched").read_text() == "2.0 0.25"
    with pytest.raises(ValueError, match=r"low_level\.gauged in environment .two.: OSError: no hub there$"):
        fetch(offset=-1.0)


def test_one_that_downloads_nothing_is_left_alone(place):
    """As the mPLUG-Owl2 of examples/, whose weights lie in a folder."""
    (place / "fetched").write_text("as before")
    assert fetch("quiet") == ["low_level quiet: low_level.quiet in environment 'two'"]
    assert (place / "fetched").read_text() == "as before"


def test_another_lock_is_another_piece_of_work(place):
    worker = scoring.Recipe("low_level", chosen(), {}, NO_QUESTIONS)()
    before = worker.weights
    assert before and "versat2i.rewards.common.isolated" in worker.modules
    (place / "two.lock").write_text(LOCK + "colour==1.0\n")
    assert scoring.Recipe("low_level", chosen(), {}, NO_QUESTIONS)().weights != before
    (place / "weights").mkdir()
    (place / "weights/model").write_text("1")
    with_folder = rewards.from_params("low_level", chosen(model="weights")).identity
    (place / "weights/model").write_text("2")
    assert rewards.from_params("low_level", chosen(model="weights")).identity != with_folder


def test_an_environment_that_this_machine_does_not_have_is_one_clear_line(place):
    (place / "compute.yaml").write_text("device: cpu\n")
    assert problem() == (
        "compute.yaml: environments has no 'two'. Make that environment from two.lock and say where it lies on this "
        "machine, e.g. `environments: {two: /opt/two}`"
    )
    (place / "compute.yaml").write_text("{device: cpu, environments: {two: nowhere}}")
    assert "environments.two is nowhere, where there is no Python (bin/python or " in problem()
    (place / "nowhere/bin").mkdir(parents=True)
    (place / "nowhere/bin/python").write_text("no program")
    assert problem().endswith("/nowhere/bin/python cannot be run (Permission denied)")


@pytest.mark.parametrize(
    "text, said",
    [
        ("die", "the process ended with 1; its last words: out of luck"),
        ("killed", f"the process ended with {-signal.SIGKILL}; its last words: a library that greets"),
        ("raise", "RuntimeError: two lines"),
        ("few", "0 scores for 1 images; expected one each"),
        ("odd", "ValueError: score() gave None for image 0; expected a number or a reason"),
    ],
)
def test_a_process_that_fails_says_why_in_one_line(place, text, said):
    assert problem(text).startswith(f"low_level.gauged in environment 'two': {said}")


def test_after_an_error_the_next_images_are_scored(place):
    reward = made()
    half = PROMPTS[:1]
    for text in ("raise", "killed"):
        with pytest.raises(ValueError, match="in environment 'two'"):
            scored(reward, images()[:1], half.assign(text=text))
        np.testing.assert_array_equal(scored(reward, images()[:1], half).values, [2.5])


def test_a_wrong_option_is_named(place):
    assert "unexpected keyword argument 'offsets'" in problem(offsets=1)


@pytest.mark.parametrize("answer", ["hello", "[1, 2]", '{"protocol": 0}'])
def test_an_answer_that_is_none_is_shown(place, answer):
    (place / "babel/bin").mkdir(parents=True)
    python = place / "babel/bin/python"
    python.write_text(f"#!/bin/sh\nread line\necho '{answer}'\nread line\n")
    python.chmod(0o755)
    (place / "compute.yaml").write_text("{device: cpu, environments: {two: babel}}")
    expected = "speaks protocol 0, expected 2" if "0" in answer else f"answered '{answer}', expected a JSON object"
    assert problem().startswith(f"low_level.gauged in environment 'two': {expected}")


@pytest.mark.parametrize(
    "lock, difference",
    [
        ("gauge==1.9\ntheir_reward==1.0\n", "gauge is 2.0, not 1.9"),
        (LOCK + "colour==1.0\n", "colour 1.0 is not installed"),
    ],
)
def test_versions_other_than_those_of_the_lock_are_refused(place, lock, difference):
    (place / "two.lock").write_text(lock)
    assert f"two.lock and what is installed there differ: {difference}. Make the environment" in problem()


def test_without_its_lock_nothing_is_scored(place):
    (place / "two.lock").unlink()
    assert problem().startswith("two.lock: the lock file of an environment cannot be read")


def test_an_evaluator_that_is_another_one_there_is_refused(place):
    assert problem(metric="other").endswith(
        "its metric there is 'other', here 'gauged'. Install the same version in both"
    )


def test_an_evaluator_must_be_known_on_both_sides(place):
    environment = {"name": "two", "lock": "two.lock"}
    with pytest.raises(ValueError, match=r"evaluator 'gaugd' does not exist\. Did you mean 'gauged'"):
        rewards.from_params("low_level", params.Reward(evaluator="gaugd", environment=environment))
    classical = params.Reward(evaluator="classical", environment=environment)
    reward = rewards.from_params("low_level", classical, compute.load())
    with pytest.raises(ValueError, match=r"0 packages there have an entry point low_level\.classical"):
        scored(reward, images(), PROMPTS)
    with pytest.raises(ValueError, match="its class here does not say its name, metric, higher_is_better, range"):
        rewards.from_params("low_level", params.Reward(evaluator="pyiqa:musiq", environment=environment))
