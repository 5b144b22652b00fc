"""A worker on a node does nothing unless its code is the driver's, and sends what it made."""

import dataclasses
import logging
import os
import pickle
from pathlib import Path

import pytest
from clustered import Roots, Squares

from versat2i.work import node, parcels, places, store

STAGE = "versat2i.seeds"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VERSAT2I_WORK", raising=False)
    monkeypatch.setattr(node.tempfile, "tempdir", str(_made(tmp_path / "node")))


def _made(folder):
    folder.mkdir(exist_ok=True)
    return folder


def started(recipe, terms=None, send=None):
    worker = node.Node(parcels.dumps(recipe), terms or node.terms(STAGE), send)
    worker.start()
    return worker


def test_what_is_made_is_sent_whole_and_not_kept_on_the_node(tmp_path):
    worker = started(Squares(tmp_path / "log"))
    done = worker.work(parcels.dumps(3))
    assert Path.cwd().parent == tmp_path / "node" and store.Store("generate").find(f"{3:032d}") is None
    os.chdir(tmp_path)  # the driver's
    parcels.receive(done.pieces)
    number, path, new = pickle.loads(done.result)
    assert (number, (path / "square").read_text(), new) == (3, "9", True)


def test_where_the_disk_is_shared_the_worker_keeps_it_in_the_drivers_store_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "kept"))
    _made(tmp_path / "kept").joinpath("token").touch()
    terms = node.terms(STAGE, str(tmp_path), "token")
    monkeypatch.delenv("VERSAT2I_WORK")
    done = started(Squares(tmp_path / "log"), terms).work(parcels.dumps(3))
    assert done.pieces == [] and (tmp_path / "kept/generate" / f"{3:032d}" / "square").read_text() == "9"


def test_a_disk_that_is_not_shared_is_told(tmp_path):
    with pytest.raises(
        ValueError, match=r"sees no /nowhere; `shared_disk: true` of compute.yaml needs the same folder"
    ):
        started(Squares(tmp_path), node.terms(STAGE, "/nowhere"))
    with pytest.raises(ValueError, match=r"sees another work store at .*/\.work; `shared_disk"):
        started(Squares(tmp_path), node.terms(STAGE, str(tmp_path), "token"))


def test_other_versions_and_other_code_are_told_before_any_work(tmp_path):
    same = node.terms(STAGE)
    other = dataclasses.replace(same, versions=same.versions | {"torch": "0.0"})
    with pytest.raises(ValueError, match=r"has torch .*, this machine 0\.0\. Install the same requirements\.lock"):
        started(Squares(tmp_path), other)
    with pytest.raises(ValueError, match=r"the code of versat2i\.seeds at .* is not the one of this machine"):
        started(Squares(tmp_path), dataclasses.replace(same, code="x"))


def test_an_input_that_is_taken_is_read_under_its_name_and_a_warning_comes_back(tmp_path):
    Path("4.txt").write_text("4")
    sent = parcels.dumps((Path("4.txt"), parcels.pack(Path("4.txt"))))
    worker = started(Roots())
    worker.take(sent)
    done = worker.work(parcels.dumps(Path("4.txt")))
    assert pickle.loads(done.result) == 2.0
    assert done.said == [("versat2i.test", logging.WARNING, "reads 4.txt")]


def test_each_new_checkpoint_is_sent_once(tmp_path):
    sent = []
    courier = node.Courier(lambda name, data: sent.append((name, data)))
    path = _made(places.home().absolute()) / "mix/key.pt"
    path.parent.mkdir()
    for data in (b"first", b"second"):
        path.write_bytes(data)
        os.utime(path, ns=(len(sent), len(sent)))
        courier.look(places.home().absolute())
        courier.look(places.home().absolute())
    path.unlink()
    courier.look(places.home().absolute())
    assert sent == [("mix/key.pt", b"first"), ("mix/key.pt", b"second")]
