"""What `dvc push` leaves out of a run: found by the run cache's entries, named so that DVC sends it."""

import pytest
import yaml

from versat2i.tools import run_cache

OUTS = {
    "data/adapters/geometry": "a" * 32 + ".dir",
    "metrics/train_lora/geometry.json": "b" * 32,
    "plots/train_lora/geometry.csv": "c" * 32,
    "plots/gains.csv": "d" * 32,
}


@pytest.fixture
def cache(tmp_path):
    """A cache with one run; the object of one of its plots is gone."""
    outs = [{"path": path, "hash": "md5", "md5": md5, "size": 9} for path, md5 in OUTS.items()]
    entry = tmp_path / "runs/0e/0e71/b240"
    entry.parent.mkdir(parents=True)
    entry.write_text(yaml.safe_dump({"cmd": "python -m stages.train_lora geometry", "deps": [], "outs": outs}))
    for md5 in list(OUTS.values())[:3]:
        path = tmp_path / "files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True)
        path.write_bytes(b"something")
    return tmp_path


def test_metrics_and_plots_of_runs_are_found_where_the_cache_has_them(cache):
    assert run_cache.small(cache) == {"b" * 32: 9, "c" * 32: 9}


def test_a_cache_without_runs_has_none(tmp_path):
    assert run_cache.small(tmp_path) == {}


def test_each_object_is_an_output_of_its_own(cache):
    outs = yaml.safe_load(run_cache.listing(run_cache.small(cache)))["outs"]
    assert [out["md5"] for out in outs] == ["b" * 32, "c" * 32]
    assert len({out["path"] for out in outs}) == 2


@pytest.mark.parametrize("text", ["", "outs: 3", "outs: [{path: a}]", "outs: [{path: 1, md5: b, size: x}]", "{", "\0"])
def test_a_damaged_entry_is_one_clear_line(cache, text):
    (cache / "runs/0e/0e71/b240").write_text(text)
    with pytest.raises(ValueError, match=r"b240: not an entry of DVC's run cache .*safe to delete") as error:
        run_cache.small(cache)
    assert "\n" not in str(error.value)
