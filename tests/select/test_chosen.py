"""The picks are copied whole and alone: training needs nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch

from versat2i.formats import shards, tables
from versat2i.select import chosen

TEXTS = {"a": "a star", "b": "a cross", "c": "a heart"}
CHOSEN = [("c", 1), ("a", 0), ("b", 3)]


def candidate(prompt_id, k):
    random = np.random.default_rng([k, *prompt_id.encode()])
    image = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return shards.Candidate(prompt_id, k, k, image, torch.full((2, 2, 2), float(k)))


def table(keys):
    """Picks whose rival is their prompt's candidate 2."""
    rows = [(prompt_id, k, k / 8, 1, 2, 0.25) for prompt_id, k in keys]
    return pd.DataFrame(rows, columns=["prompt_id", "k", "score", "rank", "rival", "gap"])


@pytest.fixture
def pool(tmp_path):
    """Four candidates of each of three prompts, in two shards."""
    for name, prompt_ids in {"00000-000": "ab", "00001-000": "c"}.items():
        items = [candidate(prompt_id, k) for prompt_id in prompt_ids for k in range(4)]
        shards.write(tmp_path / "pool" / name, items)
    return tmp_path / "pool"


@pytest.fixture
def out(tmp_path):
    (tmp_path / "selected").mkdir()
    return tmp_path / "selected"


@pytest.fixture
def selected(pool, out):
    chosen.copy(pool, table(CHOSEN), table([("a", 2)]), TEXTS, out)
    return out


def keys(candidates):
    return [(item.prompt_id, item.k) for item in candidates]


def test_picks_come_back_in_their_order_with_their_images_and_latents(selected):
    picks, found = chosen.load(selected)
    assert list(zip(picks["prompt_id"], picks["k"], strict=True)) == keys(found) == CHOSEN
    for item in found:
        original = candidate(item.prompt_id, item.k)
        assert np.array_equal(item.image, original.image)
        assert np.array_equal(item.latents, original.latents)


def test_rivals_come_back_in_the_order_of_the_picks(selected):
    assert keys(chosen.load_rivals(selected)) == [(prompt_id, 2) for prompt_id, _ in CHOSEN]


def test_picks_bring_their_texts_and_members_along(selected):
    picks, _ = chosen.load(selected)
    assert list(picks["text"]) == ["a heart", "a star", "a cross"]
    assert list(picks["member"]) == ["c.1.png", "a.0.png", "b.3.png"]


def test_nothing_but_the_picks_and_the_rejected_is_copied(selected):
    assert keys(shards.read_all(selected / "images")) == [("a", 0), ("b", 3), ("c", 1)]
    assert keys(shards.read_all(selected / "rejected")) == [("a", 2)]
    assert [path.name for path in shards.paths(selected / "rejected")] == ["00000-000.tar"]


def test_the_pool_is_not_needed_once_the_picks_are_copied(selected, pool):
    for path in pool.iterdir():
        path.unlink()
    assert len(chosen.load(selected)[1]) == 3


def test_the_order_of_the_picks_changes_no_image_file(selected, pool, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    chosen.copy(pool, table(CHOSEN[::-1]), table([]), TEXTS, again)
    for path in (selected / "images").iterdir():
        assert (again / "images" / path.name).read_bytes() == path.read_bytes()


def test_nothing_rejected_is_an_empty_folder(pool, out):
    chosen.copy(pool, table(CHOSEN), table([]), TEXTS, out)
    assert list((out / "rejected").iterdir()) == []


def test_a_pick_without_a_text_is_refused(pool, out):
    with pytest.raises(ValueError, match="column 'text' has 1 empty values"):
        chosen.copy(pool, table(CHOSEN), table([]), {"a": "a star", "b": "a cross"}, out)


def test_a_pick_that_the_pool_does_not_have_is_named(pool, out):
    chosen.copy(pool, table([("a", 0), ("b", 9)]), table([]), TEXTS, out)
    with pytest.raises(ValueError, match=r"candidate 9 of prompt b is in picks\.parquet but not in images"):
        chosen.load(out)


def test_a_damaged_copy_is_named(selected):
    path = shards.paths(selected / "images")[0]
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"00000-000\.tar"):
        chosen.load(selected)


def test_a_missing_table_of_picks_is_named(selected):
    (selected / chosen.PICKS).unlink()
    with pytest.raises(ValueError, match=r"picks\.parquet: there is no such table"):
        chosen.load(selected)


def test_the_columns_of_a_table_of_picks_are_those_of_its_schema(selected):
    assert list(chosen.load(selected)[0].columns) == tables.SCHEMAS["picks"].names


def test_few_picks_of_many_shards_share_a_shard(tmp_path, out, monkeypatch):
    """DVC looks at every file one by one: there are at most so many, whatever the pool."""
    prompts = [f"p{number}" for number in range(9)]
    for number, prompt_id in enumerate(prompts):
        shards.write(tmp_path / "pool" / f"{number:05d}-000", [candidate(prompt_id, k) for k in range(3)])
    monkeypatch.setattr(chosen, "MOST_SHARDS", 4)
    chosen.copy(
        tmp_path / "pool", table([(p, 0) for p in prompts]), table([("p8", 1)]), dict.fromkeys(prompts, "t"), out
    )
    names = [path.stem for path in shards.paths(out / "images")]
    assert names == [path.stem for path in shards.paths(out / "rivals")] == ["00000-000", "00004-000", "00008-000"]
    assert keys(chosen.load(out)[1]) == [(p, 0) for p in prompts]
    assert [path.stem for path in shards.paths(out / "rejected")] == ["00008-000"]


def test_the_pool_is_read_once(pool, out, monkeypatch):
    read = []
    stored = shards._stored
    monkeypatch.setattr(shards, "_stored", lambda path, *given: (read.append(path), stored(path, *given))[1])
    chosen.copy(pool, table(CHOSEN), table([("a", 2)]), TEXTS, out)
    assert read == shards.paths(pool)
