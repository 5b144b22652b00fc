"""The model card says what is known of a mixture, and nothing else."""

import json

import drawn
import pytest
import tiny
import yaml
from mixed import attach

from versat2i.adapters import mixture_files
from versat2i.formats import recipe as recipes
from versat2i.settings.params import Model
from versat2i.tools import card


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a run with a mixture and no metrics yet."""
    monkeypatch.chdir(tmp_path)
    mixed = attach("token")[1]
    mixture_files.save(mixed, tmp_path / "mixture", {"base_model": "owner/name", "revision": "abc"})
    return tmp_path


@pytest.fixture
def settings():
    return drawn.settings(Model(path="somewhere", dtype="float32", threads=1))


def metrics(run, name, content):
    path = run / "metrics" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def parts(text):
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_folder_holds_the_mixture_and_its_card(run, settings):
    out = card.publishable(run / "mixture", run / "out" / "mixture", settings)
    names = {mixture_files.RECIPE, mixture_files.EXPERTS, mixture_files.GATES}
    assert {path.name for path in out.iterdir()} == {*names, "README.md"}
    for name in names:
        assert (out / name).read_bytes() == (run / "mixture" / name).read_bytes()
    mixture_files.load(tiny.unet(), out)


def test_a_folder_with_anything_else_is_not_replaced_unless_asked(run, settings):
    out = run / "out"
    card.publishable(run / "mixture", out, settings)
    card.publishable(run / "mixture", out, settings)  # the same again
    (out / mixture_files.GATES).write_bytes(b"others")
    for other in (out, run):
        with pytest.raises(ValueError, match="is there already and holds something else"):
            card.publishable(run / "mixture", other, settings)
    card.publishable(run / "mixture", out, settings, replace=True)
    assert (out / mixture_files.GATES).read_bytes() == (run / "mixture" / mixture_files.GATES).read_bytes()


def test_without_metrics_it_says_so(run, settings):
    front, body = parts(card.card("mixture", recipes.read(run / "mixture"), settings))
    assert front["base_model"] == "owner/name" and "versat2i" in front["tags"]
    assert "Not evaluated." in body and "`owner/name` at revision `abc`" in body
    assert "- `geometry`: rank 3, alpha 2" in body and "Apache-2.0" in body


def test_gains_stand_there_with_their_intervals(run, settings):
    entry = {"mean": 0.75, "gain": 0.05, "low": 0.01, "high": 0.09, "win_rate": 0.6, "abstained": 0}
    base = {"tifa": {"mean": 0.7, "abstained": 0}}
    mixture = {"tifa": entry, "niqe": entry | {"lower_is_better": True}}
    metrics(run, "evaluate", {"base": base, "mixture": mixture, "summary": {}})
    metrics(run, "prompts", {"train": {"prompts": 160}})
    metrics(run, "select/colour", {"picks": 12, "candidates": 320})
    _, body = parts(card.card("mixture", recipes.read(run / "mixture"), settings))
    assert "| tifa | 0.7500 | +0.0500 [+0.0100, +0.0900] | 0.60 |" in body
    assert "| niqe (lower is better) | 0.7500 | +0.0500 " in body
    assert "for each of 160 prompts" in body and "- colour: 12 of 320" in body and "- form: unknown" in body
