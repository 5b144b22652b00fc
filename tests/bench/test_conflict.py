"""Cosines and sizes of experts' changes are those of vectors known beforehand."""

import dataclasses
from xml.etree import ElementTree as ET

import drawn
import pandas as pd
import pytest
import tiny
import torch
from click.testing import CliRunner

from bench import conflict
from versat2i.adapters import lora
from versat2i.formats import tables
from versat2i.mix.distillation import Drawing
from versat2i.models import diffusion
from versat2i.prompts import records
from versat2i.work import places

EXPERTS = ["a", "b", "c"]


def test_the_table_of_two_images_is_worked_out_by_hand():
    """a and b agree on one image and are opposed on the other, c is at right angles to both."""
    base = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
    a, b = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.0, -1.0]])
    c = torch.tensor([[0.0, 0.5], [0.5, 0.0]])
    rows = conflict.table([(base, [a, b, c])], EXPERTS, [999.0])
    found = {(row.kind, row.who): row.value for row in rows.itertuples()}
    assert set(rows["time"]) == {999.0}
    expected = {("size", "a"): 0.2, ("size", "b"): 0.3, ("size", "c"): 0.1}
    expected |= {("cosine", "a, b"): 0.0, ("cosine", "a, c"): 0.0, ("cosine", "b, c"): 0.0}
    assert found == pytest.approx(expected)
    alone = conflict.table([(base[:1], [a[:1], -3 * a[:1], c[:1]])], EXPERTS, [1.0])
    assert alone[alone["who"] == "a, b"]["value"].item() == pytest.approx(-1.0)


def test_an_expert_agrees_with_itself_and_not_with_its_opposite(model):
    loaded = diffusion.load(model)
    one = tiny.adapter(loaded.denoiser, "a", alpha=0.02)
    opposite = {module: -up for module, up in one.up.items()}
    for adapter in (one, dataclasses.replace(one, name="b"), dataclasses.replace(one, name="c", up=opposite)):
        lora.insert(loaded.denoiser, adapter)
    found = conflict.along(loaded, ["a red circle", "two pink hearts"], EXPERTS, Drawing(3, 1.0, None))
    rows = conflict.table(found, EXPERTS, [3.0, 2.0, 1.0])
    cosines = rows[rows["kind"] == "cosine"].pivot_table(index="time", columns="who", values="value")
    assert len(cosines) == 3 and (cosines["a, b"] > 0.999).all() and (cosines["a, c"] < -0.9).all()


def test_a_run_is_told_and_drawn(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, loaded = drawn.settings(model), diffusion.load(model)
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(settings.model_dump()))
    for aspect in settings.aspects:
        adapter = dataclasses.replace(tiny.adapter(loaded.denoiser, aspect, alpha=0.2), metadata=loaded.identity)
        lora.write(adapter, places.adapter(aspect))
    texts = ["a red circle", "two pink hearts"]
    rows = [{"prompt_id": records.prompt_id(text), "text": text, "source": "x", "category": "x"} for text in texts]
    tables.write("prompts", pd.DataFrame(rows), places.prompts("dev"))
    result = CliRunner().invoke(conflict.main, ["--prompts", "2", "--out", "c.csv", "--chart", "c.svg"])
    assert result.exit_code == 0, result.output
    assert "cosine\n" in result.output and "colour, form" in result.output and "\nsize\n" in result.output
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 1 + 3 * settings.evaluate.steps
    assert "colour, form" in "".join(ET.parse(tmp_path / "c.svg").getroot().itertext())
