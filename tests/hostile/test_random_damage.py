"""Bytes out of place anywhere in a file: it is sound all the same, or refused in one line that names it."""

import os

import drawn
import numpy as np
import pandas as pd
import pytest
import tiny
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.adapters import lora
from versat2i.formats import shards, tables
from versat2i.formats.measures import Measure
from versat2i.select import rule as selection_rule
from versat2i.settings import params
from versat2i.work import fingerprint

tried = settings(derandomize=True, max_examples=2000 if "VERSAT2I_TORTURE" in os.environ else 60, deadline=None)
damages = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6), st.booleans()), min_size=1, max_size=4
)
"""Where, which bytes, and whether in place of others or between them."""


def spoilt(data, damage):
    for share, piece, instead in damage:
        place = int(share * len(data))
        data = data[:place] + piece + data[place + instead * len(piece) :]
    return data


def read_or_refused(path, data, read):
    """What is read; None where it is refused."""
    path.write_bytes(data)
    try:
        return read()
    except ValueError as error:
        line = str(error)
        assert path.stem in line and "\n" not in line and len(line) < 2000
        return None


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    (path,) = shards.paths(drawn.pool(tmp_path_factory.mktemp("pool"), {"p0": "a", "p1": "b"}, 1))
    return path, path.read_bytes(), list(shards.read(path))


@tried
@given(damage=damages)
def test_a_table(tmp_path_factory, counts, damage):
    path = tmp_path_factory.getbasetemp() / "spoilt.parquet"
    rows = {"prompt_id": ["a", "b"], "k": [0, 1], "score": [0.5, None], "merit": [0.5, None]}
    rows |= {"abstained": [None, "x"], "details": None}
    tables.write("scores", pd.DataFrame(rows), path)
    found = read_or_refused(path, spoilt(path.read_bytes(), damage), lambda: tables.read("scores", path))
    counts["bad inputs, tables with bytes out of place"] += 1
    if found is not None:
        tables.write("scores", found, path)  # which checks every value


@tried
@given(damage=damages)
def test_a_shard(pool, counts, damage):
    path, sound, candidates = pool
    found = read_or_refused(path, spoilt(sound, damage), lambda: list(shards.read(path)))
    counts["bad inputs, shards with bytes out of place"] += 1
    for one, other in zip(found or [], candidates, strict=False):
        assert (one.prompt_id, one.k, one.image.shape) == (other.prompt_id, other.k, other.image.shape)
        assert np.isfinite(one.latents).all()


@tried
@given(damage=damages)
def test_an_index(pool, counts, damage):
    path, sound, candidates = pool
    path.write_bytes(sound)
    index = path.with_suffix(".parquet")
    whole = index.read_bytes()
    try:
        found = read_or_refused(index, spoilt(whole, damage), lambda: list(shards.read(path)))
    finally:
        index.write_bytes(whole)
    counts["bad inputs, tables with bytes out of place"] += 1
    for one in found or []:
        assert any(np.array_equal(one.image, other.image) for other in candidates)


@tried
@given(damage=damages)
def test_an_adapter(tmp_path_factory, counts, damage):
    folder = tmp_path_factory.getbasetemp() / "adapter"
    path = folder / lora.FILE
    if not folder.exists():
        folder.mkdir()
        lora.write(tiny.adapter(tiny.unet(), "colour"), folder)
        path.rename(folder / "sound")
    sound = (folder / "sound").read_bytes()
    found = read_or_refused(path, spoilt(sound, damage), lambda: lora.read(folder, "colour"))
    counts["bad inputs, weights with bytes out of place"] += 1
    if found is not None:
        assert all(weight.isfinite().all() for weight in [*found.down.values(), *found.up.values()])


numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 5))


@tried
@given(
    scores=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), numbers), unique_by=lambda row: row[:2]),
    threshold=st.one_of(
        st.tuples(st.just("absolute"), st.floats(-5, 5)), st.tuples(st.just("quantile"), st.floats(0, 1))
    ),
    per_prompt=st.integers(1, 3),
    margin=st.floats(0, 2),
    least=st.integers(1, 4),
    higher=st.booleans(),
)
def test_any_scores_that_a_table_may_hold_are_picked_from_or_refused(
    tmp_path_factory, scores, threshold, per_prompt, margin, least, higher
):
    path = tmp_path_factory.getbasetemp() / "scores.parquet"
    frame = pd.DataFrame(scores, columns=["prompt_id", "k", "score"]).astype({"k": "int64", "score": "float64"})
    measure = Measure(metric="x", evaluator="x", licence="none", higher_is_better=higher)
    frame = frame.assign(merit=measure.merit(frame["score"]))
    frame = frame.assign(abstained=np.where(frame["score"].isna(), "no number", None), details=None)
    rule = {"absolute": None, "quantile": None} | dict([threshold])
    try:
        tables.write("scores", frame, path)
        table = tables.read("scores", path)
        picks = selection_rule.pick(
            table, measure, **rule, per_prompt=per_prompt, margin=margin, min_selected=least, label="x"
        )
    except ValueError as error:
        assert "\n" not in str(error)
        return
    assert len(picks) >= least and np.isfinite(picks["score"]).all()
    assert picks.groupby("prompt_id").size().max() <= per_prompt
    assert not picks.duplicated(["prompt_id", "k"]).any()


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.text(max_size=6), below, max_size=3)),
    max_leaves=6,
)


@tried
@given(section=st.sampled_from(sorted(params.Params.model_fields)), value=values)
def test_params_of_any_shape(counts, section, value):
    content = yaml.safe_load((fingerprint.ROOT / "params.yaml").read_text())
    counts["bad inputs, params of any shape"] += 1
    try:
        found = params.parse(drawn.yaml_text(content | {section: value}))
    except ValueError as error:
        line = str(error)
        assert line.startswith("params.yaml: ") and "\n" not in line and len(line) < 3000
    else:
        assert isinstance(found, params.Params)
