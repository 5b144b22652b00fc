"""The page as a file: whole, safe, right and the same every time."""

import json
import re
from html import unescape
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import synthetic
from click.testing import CliRunner
from PIL import Image

from stages import report as stage
from versat2i.formats import metrics as metric_files
from versat2i.formats import shards, tables
from versat2i.report import browser, page
from versat2i.rewards.common.base import OWN_LICENCE
from versat2i.select import chosen
from versat2i.work import files, places


def data(folder):
    script = (folder / browser.SCRIPT).read_text(encoding="ascii")
    return json.loads(script.removeprefix("globalThis.versat2iReport=").removesuffix(";\n"))


def rows(run, table):
    """The cells of a table by row header, as text."""
    body = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', run.html, re.S).group(1)
    cells = [
        [
            " ".join(unescape(re.sub(r"<[^>]*>", " ", cell)).split())
            for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.S)
        ]
        for row in re.findall(r"<tr.*?>(.*?)</tr>", body, re.S)
    ]
    return {first.split()[0]: rest for first, *rest in cells}


def signed(value):
    """Four decimals with a sign, none where all of them are zero."""
    text = f"{value:+.4f}"
    return text if float(text) else text[1:]


def test_the_page_is_well_formed_and_its_ids_are_unique(run):
    parsed = run.parsed
    assert parsed.wrong == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20


def test_the_page_asks_nobody_for_anything(run):
    for tag, attributes in run.parsed.elements:
        for name in {"src", "href", "xlink:href", "action", "srcset"} & attributes.keys():
            target = attributes[name]
            inside = target.startswith(("#", "data:")) or (run.report / target).is_file()
            assert inside, (tag, target)
    css = re.search(r"<style>(.*?)</style>", run.html, re.S).group(1)
    assert "url(" not in css and "@import" not in css


def test_every_picture_and_chart_has_words_for_those_who_cannot_see_it(run):
    pictures = run.parsed.all("img")
    assert len(pictures) > 20
    assert all(picture["alt"].strip() and picture["loading"] == "lazy" for picture in pictures)
    charts = [attributes for attributes in run.parsed.all("div") if attributes.get("role") == "img"]
    assert len(charts) == len(run.parsed.all("svg")) == 1 + 2 * len(run.settings.aspects) + 2
    assert all(chart["aria-label"] for chart in charts)


def test_hostile_texts_are_text(run):
    assert [set(script) for script in run.parsed.all("script")] == [{"src", "defer"}, set(), set()]
    assert not any(name.startswith("on") for _, attributes in run.parsed.elements for name in attributes)
    shown = " ".join(synthetic.HOSTILE.split())
    assert run.parsed.text.count(shown) >= 3  # an option of category and of source, captions of examples
    values = [attributes.get("value") for attributes in run.parsed.all("option")]
    assert values.count(synthetic.HOSTILE) == 2
    assert any(synthetic.HOSTILE in picture["alt"] for picture in run.parsed.all("img"))


def test_hostile_texts_reach_the_browser_as_they_are(run):
    shown = data(run.report)
    _, text, category, source, questions = shown["prompts"][0]
    assert text == category == source == questions[0][0] == synthetic.HOSTILE
    aesthetic = [metric["name"] for metric in shown["metrics"]].index("aesthetic")
    assert shown["items"][0][2][0][aesthetic] == synthetic.HOSTILE  # the reason why base has no score


def test_the_verdict_has_the_numbers_of_the_metrics(run):
    table = metric_files.read_json(places.metrics("evaluate"))
    shown = rows(run, "verdict-table")
    assert set(shown) == set(table["base"])
    for metric, (base, mean, gain, verdict, wins, abstained) in shown.items():
        entry = table["mixture"][metric]
        assert base == f"{table['base'][metric]['mean']:.4f}" and mean == f"{entry['mean']:.4f}"
        assert gain.split() == [signed(entry["gain"]), signed(entry["low"]), "to", signed(entry["high"])]
        assert wins == f"{100 * entry['win_rate']:.0f} %"
        assert abstained == str(entry["abstained"])
        expected = "better" if entry["low"] > 0 else "worse" if entry["high"] < 0 else "no clear change"
        assert verdict == expected


def test_the_table_of_all_variants_has_their_gains(run):
    table = metric_files.read_json(places.metrics("evaluate"))
    shown = rows(run, "variants-table")
    for variant in synthetic.VARIANTS[1:]:
        entries = [*(table[variant][metric] for metric in rows(run, "verdict-table")), table["summary"][variant]]
        gains = [cell.split()[0] for cell in shown[variant]]
        assert gains == [signed(entry.get("gain", entry.get("score"))) for entry in entries]


@pytest.mark.parametrize(
    "value, score, gain",
    [(0.5, "0.5000", "+0.5000"), (-0.5, "-0.5000", "-0.5000"), (12.345, "12.35", "+12.35"), (None, "–", "–")]
    + [(value, "0.0000", "0.0000") for value in (0.0, -0.0, 0.00004, -0.00004)],
)
def test_what_is_zero_to_the_last_digit_has_no_sign(value, score, gain):
    assert (page.number(value), page.signed(value)) == (score, gain)


def test_each_aspect_says_what_was_picked(run):
    for aspect in run.settings.aspects:
        summary = metric_files.read_json(places.metrics("select", aspect))
        text = f"{summary['picks']} picks from {summary['candidates']} candidates of {summary['prompts']} prompts"
        assert text in run.parsed.text
        assert f"{summary['pool_mean']:.4f} of the pool, {summary['picks_mean']:.4f} of the picks" in run.parsed.text


def test_models_licences_and_versions_are_there(run):
    licences = rows(run, "licences-table")
    model = run.settings.model
    assert licences["base"][0] == f"{model.path} at revision {synthetic.REVISION}, float32"
    assert licences["base"][1] == OWN_LICENCE
    assert all(licence for *_, licence in licences.values())
    assert rows(run, "versions-table")["torch"] == [version("torch").partition("+")[0]]


def test_nothing_tells_the_time_or_the_place(run):
    for text in (run.html, (run.report / browser.SCRIPT).read_text()):
        assert str(run.root) not in text and "dc:date" not in text
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text)


def test_two_builds_are_the_same_bytes(run, tmp_path):
    page.write(run.settings, tmp_path / "again")
    assert files.folder_hash(tmp_path / "again") == files.folder_hash(run.report)


def test_the_images_of_each_variant_lie_under_their_items_pixel_by_pixel(run):
    shown = data(run.report)
    assert len(shown["items"]) == len(shown["prompts"]) * synthetic.PER_PROMPT
    for variant in shown["variants"]:
        images = {(c.prompt_id, c.k): c.image for c in shards.read_all(places.evaluation(variant) / "images")}
        for number, (prompt, k, *_) in enumerate(shown["items"]):
            with Image.open(browser.picture(run.report, variant, number)) as thumbnail:
                assert np.array_equal(np.asarray(thumbnail), images[shown["prompts"][prompt][0], k])


def test_picked_and_rejected_examples_are_those_of_the_selected_set(run):
    for aspect in run.settings.aspects:
        picks = tables.read("picks", places.selected(aspect) / chosen.PICKS).sort_values("prompt_id")
        images = {c.prompt_id: c.image for c in shards.read_all(places.selected(aspect) / chosen.IMAGES)}
        for number, prompt_id in enumerate(picks["prompt_id"]):
            with Image.open(run.report / f"images/picked/{aspect}/{number}.webp") as thumbnail:
                assert np.array_equal(np.asarray(thumbnail), images[prompt_id])
        rejected = list(shards.read_all(places.selected(aspect) / chosen.REJECTED))
        assert len(list((run.report / f"images/rejected/{aspect}").iterdir())) == len(rejected) > 0


def test_the_stage_writes_the_same_report_and_says_where(run):
    before = files.folder_hash(run.report)
    result = CliRunner().invoke(stage.main)
    assert result.exit_code == 0, result.output
    images = len(synthetic.VARIANTS) * len(data(run.report)["items"])
    assert f"report: {images} images in data/report/index.html, in " in result.output
    assert files.folder_hash(places.REPORT) == before


def moved(path, tmp_path):
    """Take a file away; returns how to bring it back."""
    path.rename(tmp_path / path.name)
    return lambda: (tmp_path / path.name).rename(path)


@pytest.mark.parametrize(
    "path",
    [
        places.metrics("evaluate"),
        places.plot("mix", "mixture"),
        places.adapter("mixture") / places.RECIPE,
        places.evaluation("base") / "scores.parquet",
    ],
)
def test_a_missing_input_is_one_line_that_names_it(run, tmp_path, path):
    bring_back = moved(path, tmp_path)
    try:
        with pytest.raises(ValueError, match=re.escape(str(path))):
            page.write(run.settings, tmp_path / "out")
    finally:
        bring_back()


def test_a_missing_image_is_named(run, tmp_path):
    folder = places.evaluation("mixture") / "images"
    first = shards.paths(folder)[0]
    for path in (first, first.with_suffix(".parquet")):
        path.rename(tmp_path / path.name)
    try:
        with pytest.raises(ValueError, match=r"has scores but is missing\. Run `dvc repro evaluate@mixture`"):
            page.write(run.settings, tmp_path / "out")
    finally:
        for path in (first, first.with_suffix(".parquet")):
            (tmp_path / path.name).rename(path)


def large(prompts, per_prompt, variants):
    """Scores and prompts of a large evaluation, eight questions an image."""
    rng = np.random.default_rng(0)
    ids = [f"{number:016x}" for number in range(prompts)]
    keys = pd.DataFrame({"prompt_id": np.repeat(ids, per_prompt), "k": np.tile(range(per_prompt), prompts)})
    answers = [
        {"question_id": str(q), "question": f"Is there thing {q}?", "expected": "yes", "answer": "no", "correct": q > 1}
        for q in range(8)
    ]

    def frame(details):
        values = rng.random(len(keys))
        return keys.assign(score=values, merit=values, abstained=None, details=details)

    asked = json.dumps({"answers": answers})
    scores = {v: {"aesthetic": frame(None), "tifa": frame(asked), "diversity": frame(None)} for v in variants}
    table = pd.DataFrame({"prompt_id": ids, "text": [f"a red circle, number {i}" for i in ids]})
    return scores, table.assign(category="single", source="shapes:seen")


def test_with_ten_thousand_images_the_data_stays_small(run, tmp_path, monkeypatch):
    variants = ["base", "geometry", "uniform", "mixture"]
    scores, prompts = large(prompts=1250, per_prompt=2, variants=variants)
    kept = tables.measures(places.evaluation("base") / "scores.parquet")
    measures = [measure for measure in kept if measure.metric in scores["base"]]
    shown = browser.describe(scores, prompts, measures, page.spreads(scores), "mixture")
    assert len(shown.items) * len(variants) == 10_000
    browser.write_script(shown, tmp_path)
    assert (tmp_path / browser.SCRIPT).stat().st_size < 1_500_000
    monkeypatch.setattr(page.browser, "describe", lambda *_: shown)
    monkeypatch.setattr(page.browser, "write_images", lambda *_: (64, 64))
    page.write(run.settings, tmp_path)
    assert (tmp_path / page.PAGE).stat().st_size < 250_000
