"""An aspect without an expert filters the picks of another; the stages themselves, on words that are drawn."""

import dataclasses
import json
import shutil
from importlib.util import find_spec

import drawn
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont

from stages import score, select
from versat2i.formats import shards, tables
from versat2i.prompts.records import Prompt, to_tables
from versat2i.settings import params
from versat2i.work import fingerprint, places

LACKING = [name for name in ("rapidocr", "onnxruntime") if find_spec(name) is None]
WORDS = ("OPEN", "OPEM", "CLOSED", "OPEN")  # of the candidates
MODEL = params.Model(path="model", dtype="float32", threads=1)


def picture(word: str) -> np.ndarray:
    image = Image.new("RGB", (192, 96), "ivory")
    ImageDraw.Draw(image).text((16, 24), word, font=ImageFont.load_default(40), fill="darkred")
    return np.array(image)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a prompt, four candidates and params: `text` by OCR, filtered by a hash of the image."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / ".work"))
    content = drawn.settings(MODEL, ("text",)).model_dump()
    content["rewards"] = {"text": {"evaluator": "ocr", "side": 96}, "safety": {"evaluator": "random"}}
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(content))
    shutil.copy(fingerprint.ROOT / "environment.json", tmp_path)
    texts, questions, _ = to_tables([Prompt('a door with "OPEN" on it', "test", "")])
    for path, kind, table in ((places.prompts, "prompts", texts), (places.questions, "questions", questions)):
        path("train").parent.mkdir(parents=True)
        tables.write(kind, table, path("train"))
    (prompt_id,) = texts["prompt_id"]
    made = [
        dataclasses.replace(drawn.candidate("p0", k), prompt_id=prompt_id, image=picture(word))
        for k, word in enumerate(WORDS)
    ]
    made[3].image[0, 0] = 0  # or it were the first once more, to the hash too
    shards.write(places.IMAGES / "00000-000", made)
    return tmp_path


def run(stage, aspect: str) -> None:
    stage.main([aspect], standalone_mode=False)


def filtered(project, bound: float) -> dict:
    """The metrics of `text` with a filter."""
    content = json.loads(json.dumps(params.load(project / "params.yaml").model_dump()))
    content["select"]["text"]["filter"] = {"safety": bound}
    (project / "params.yaml").write_text(drawn.yaml_text(content))
    run(select, "text")
    return json.loads(places.metrics("select", "text").read_text())


@pytest.mark.skipif(bool(LACKING), reason="no OCR: pip install 'versat2i[text]'")
def test_the_word_that_the_prompt_quotes_is_picked_unless_a_filter_takes_it_out(project):
    run(score, "text")
    run(score, "safety")
    read = pd.read_parquet(places.scores("text")).set_index("k")["score"]
    assert read[0] == read[3] == 1.0 and read[1] == 0.75 and read[2] < 0.5
    safe = pd.read_parquet(places.scores("safety")).set_index("k")["score"]
    run(select, "text")
    picks = places.selected("text") / "picks.parquet"
    assert pd.read_parquet(picks)["k"].tolist() == [0]
    assert "filtered" not in json.loads(places.metrics("select", "text").read_text())
    bound = float(safe.sort_values().iloc[2])  # two of four pass
    assert filtered(project, bound)["filtered"] == 2
    passing = read[safe >= bound]
    assert pd.read_parquet(picks)["k"].tolist() == [passing.index[passing.argmax()]]
