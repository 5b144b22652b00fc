"""Evaluators are found by name, without importing them; unknown names get the close ones."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from versat2i import rewards
from versat2i.rewards.common import registry
from versat2i.work import fingerprint


class Sunny:
    """A plug-in of somebody else's."""

    def __init__(self, warmth=1.0):
        self.warmth = warmth

    def score(self, images, prompts):
        return [self.warmth] * len(images)


@pytest.fixture
def plug_in(monkeypatch):
    """``plug_in(name, value)``: as if a package with this entry point were installed."""

    def install(name, value=f"{__name__}:Sunny"):
        point = EntryPoint(name, value, registry.GROUP)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])

    return install


def test_importing_the_package_is_light():
    heavy = {"torch", "skimage", "cv2", "transformers", "pyiqa"}
    code = (
        "import sys; from versat2i import rewards; rewards.catalogue(); "
        "import versat2i.rewards.faithfulness; "
        "rewards.load('low_level', 'pyiqa:musiq'); "
        "rewards.load('low_level', 'q_instruct', model='a/b@0123456'); "
        "rewards.load('judges', 'pickscore', model='a/b@0123456'); "
        "rewards.load('faithfulness', 'tifa', vqa='a/b@0123456', embedder='d/e@0123456'); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalogue_lists_the_embedded_evaluators():
    expected = {
        ("aesthetic", "classical"),
        ("faithfulness", "tifa"),
        ("faithfulness", "dsg"),
        ("geometry", "regularity"),
        ("low_level", "classical"),
        ("judges", "second_reader"),
        ("judges", "piqe"),
        ("control", "random"),
        ("geometry", "random"),
        ("low_level", "pyiqa:"),
    }
    assert expected <= set(rewards.catalogue())


def test_the_documentation_lists_every_evaluator_with_all_its_cells():
    """``| aspect | evaluator | metric | what it measures | differs from the reference | licence |``"""
    lines = (fingerprint.ROOT / "docs/rewards.md").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| aspect |"))
    rows = [line.strip("|").split("|") for line in lines[first + 2 : lines.index("", first)]]
    assert [len(row) for row in rows] == [6] * len(rows) and all(cell.strip() for row in rows for cell in row)
    listed = {
        (aspect.strip(), name) for row in rows for aspect in row[0].split(",") for name in re.findall("`(.*?)`", row[1])
    }
    for aspect, evaluator in rewards.catalogue():
        shown = f"{evaluator}<name>" if evaluator.endswith(":") else evaluator
        assert ("any", shown) in listed or (aspect, shown) in listed, (aspect, evaluator)


@pytest.mark.parametrize("aspect", ["control", "geometry", "an_aspect_of_the_future"])
def test_random_judges_any_aspect(aspect):
    assert rewards.load(aspect, "random").metric == "random"


@pytest.mark.parametrize(
    "aspect, evaluator, options, message",
    [
        ("geometri", "regularity", {}, "aspect 'geometri' does not exist. Did you mean 'geometry'?"),
        ("color", "zzz", {}, "aspect 'color' does not exist"),
        ("geometry", "regular", {}, "evaluator 'regular' does not exist. Did you mean 'regularity'?"),
        ("geometry", "zzz", {}, "evaluator 'zzz' does not exist. Known: lines, projective, random, regularity"),
        ("geometry", "pyiqa:musiq", {}, "geometry: evaluator 'pyiqa:musiq' does not exist"),
        ("aesthetic", "pyiqa:musik", {}, "pyiqa metric 'musik' does not exist. Did you mean 'musiq'"),
        ("low_level", "pyiqa:lpips", {}, "'lpips' compares an image with a reference"),
        ("judges", "pyiqa:fid", {}, "'fid' compares sets of images"),
        ("low_level", "pyiqa:musiq", {"size": 2}, "pyiqa:: option 'size' does not exist. Known: batch_size, call"),
        ("geometry", "regularity", {"vqa": "shapes"}, "geometry.regularity: option 'vqa' does not exist"),
        ("faithfulness", "tifa", {}, "faithfulness.tifa: option 'vqa' is missing"),
        ("faithfulness", "tifa", {"vqa": "shape"}, "vqa 'shape' does not exist. Did you mean 'shapes'?"),
        ("faithfulness", "tifa", {"vqa": "shapes", "size": 2}, "shapes: option 'size' does not exist"),
    ],
)
def test_unknown_names_are_errors_that_help(aspect, evaluator, options, message):
    with pytest.raises(ValueError) as error:
        rewards.load(aspect, evaluator, **options)
    assert message in str(error.value)


def test_a_plug_in_is_loaded_with_its_options(plug_in):
    plug_in("weather.sunny")
    assert ("weather", "sunny") in rewards.catalogue()
    assert rewards.load("weather", "sunny", warmth=2.0).warmth == 2.0
    with pytest.raises(ValueError, match=r"weather\.sunny: option 'warmht' .* 'warmth'"):
        rewards.load("weather", "sunny", warmht=2.0)


def test_a_plug_in_does_not_take_the_name_of_another_evaluator(plug_in):
    plug_in("geometry.regularity")
    with pytest.raises(ValueError, match=r"two evaluators are called 'geometry.regularity'"):
        rewards.load("geometry", "regularity")


def test_a_plug_in_may_be_a_family(plug_in, monkeypatch):
    monkeypatch.setattr(Sunny, "__init__", lambda self, metric: setattr(self, "metric", metric))
    plug_in("weather.sun:")
    assert rewards.load("weather", "sun:rise:early").metric == "rise:early"


def test_a_plug_in_without_an_aspect_is_an_error(plug_in):
    plug_in("sunny")
    with pytest.raises(ValueError, match=r"'sunny' .* is not 'aspect\.evaluator'"):
        rewards.catalogue()


def test_a_plug_in_that_cannot_be_imported_is_an_error_that_names_it(plug_in):
    plug_in("weather.sunny", "no_such_package:Sunny")
    with pytest.raises(ValueError, match=r"weather\.sunny: no_such_package:Sunny cannot be imported"):
        rewards.load("weather", "sunny")
