"""What `dvc push` leaves out of a run: found by the run cache's entries, named so that DVC sends it."""

import pytest
import yaml
from click.testing import CliRunner

from versat2i.tools import dvc, run_cache

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


def answered(monkeypatch, folder, push):
    """DVC says where its cache lies, and `push` sends."""

    def output(*arguments):
        return str(folder) if arguments == ("cache", "dir") else push(*arguments)

    monkeypatch.chdir(folder)
    monkeypatch.setattr(dvc, "output", output)


def test_what_the_cache_has_is_listed_while_it_is_sent(cache, monkeypatch):
    sent = []

    def push(*arguments):
        sent.append((arguments, yaml.safe_load(run_cache.LISTING.read_text())["outs"]))
        return "2 files pushed"

    answered(monkeypatch, cache, push)
    result = CliRunner().invoke(run_cache.main)
    assert result.output == "metrics and plots of all runs: 2 files pushed\n"
    ((arguments, outs),) = sent
    assert arguments == ("push", "runs.dvc") and [out["md5"] for out in outs] == ["b" * 32, "c" * 32]
    assert not run_cache.LISTING.exists()


def test_the_listing_goes_when_sending_fails(cache, monkeypatch):
    def push(*arguments):
        raise SystemExit(1)

    answered(monkeypatch, cache, push)
    assert CliRunner().invoke(run_cache.main).exit_code == 1 and not run_cache.LISTING.exists()


def test_where_there_is_no_run_nothing_is_sent(tmp_path, monkeypatch):
    answered(monkeypatch, tmp_path, None)  # a push would call None
    result = CliRunner().invoke(run_cache.main)
    assert (result.exit_code, result.output) == (0, "")
