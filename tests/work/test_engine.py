"""Units go to the engine that compute.yaml names; what a stage writes is the same to the byte."""

import shutil
from pathlib import Path

import clustered
import pytest
import small_run
from clustered import Squares
from small_run import contents, inside, run

from versat2i.settings import compute
from versat2i.work import cluster, engine


def test_without_ray_units_are_done_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = engine.run(Squares(tmp_path / "log"), [2, 3], compute.Compute(device="cpu"), "generate")
    assert [(number, (path / "square").read_text()) for number, path, _ in results] == [(2, "4"), (3, "9")]


def test_with_ray_they_go_to_its_cluster(monkeypatch):
    machine, asked = compute.Compute(device="cpu", engine="ray"), []
    monkeypatch.setattr(cluster, "run", lambda *how: asked.append(how) or iter([1]))
    assert list(engine.run(int, ["1"], machine, "generate", list)) == [1]
    assert asked == [(int, ["1"], machine, "generate", list)]


AGAIN = (
    ("generate",),
    ("score", "aesthetic"),
    ("train_lora", "aesthetic"),
    ("mix", "mixture"),
    ("evaluate", "mixture"),
)
PLACES = (
    "data/images",
    "data/scores/aesthetic.parquet",
    "data/adapters/aesthetic",
    "data/adapters/mixture",
    "data/evaluation/mixture",
    "metrics",
    "plots",
)


@pytest.mark.slow
def test_a_cluster_without_a_shared_disk_writes_the_bytes_of_one_process(tmp_path, model_folder):
    whole = small_run.whole(tmp_path / "here", model_folder)
    expected = contents(whole, *PLACES)
    shutil.copytree(whole, tmp_path / "there")
    shutil.rmtree(tmp_path / "there/.work")
    with clustered.nodes(2) as two, inside(tmp_path / "there"):
        Path("compute.yaml").write_text(f"{{device: cpu, engine: ray, ray: {{address: '{two.address}'}}}}")
        for command in AGAIN:
            done = run(command)
            assert done.exit_code == 0, (command, done.output, done.exception)
            assert "taken from" not in done.output
        assert contents(Path(), *PLACES) == expected
        assert not list(Path(".work").glob("*/*.pt"))
