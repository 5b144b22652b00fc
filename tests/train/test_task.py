"""An expert's training is a unit that names all it reads, done by as many devices as there are."""

import pickle

import drawn
import torch
from small_run import settings

from versat2i.adapters import lora
from versat2i.settings import params
from versat2i.settings.compute import CPU
from versat2i.train import task
from versat2i.work import places


def test_it_reads_the_model_its_picks_and_its_checkpoint(tmp_path, monkeypatch, model_folder):
    monkeypatch.chdir(tmp_path)
    places.selected("aesthetic").mkdir(parents=True)
    (places.selected("aesthetic") / "picks.parquet").write_bytes(b"picks")
    recipe = task.Recipe(params.Params.model_validate(settings(model_folder)), CPU)
    model, picks, checkpoint = recipe.reads("aesthetic")
    assert (model, picks) == (model_folder, places.selected("aesthetic"))
    assert checkpoint.parent == places.home() / "train_lora" and checkpoint.suffix == ".pt"
    assert pickle.loads(pickle.dumps(recipe)).reads("aesthetic")[2] == checkpoint  # on another machine too
    (places.selected("aesthetic") / "picks.parquet").write_bytes(b"others")
    assert recipe.reads("aesthetic")[2] != checkpoint


def test_two_devices_make_the_expert_that_one_makes_and_leave_nothing_else(tmp_path, monkeypatch, model_folder):
    monkeypatch.chdir(tmp_path)
    drawn.selected(places.selected("aesthetic"))
    given, made = params.Params.model_validate(settings(model_folder)), []
    for devices in (1, 2):
        monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / f"work{devices}"))
        recipe = task.Recipe(given, CPU.model_copy(update={"devices": devices}))
        made.append(recipe()("aesthetic"))
        assert list((places.home() / "train_lora").iterdir()) == [made[-1].adapter.parent]
    one, two = (lora.read(trained.adapter, "aesthetic") for trained in made)
    for module in one.up:
        torch.testing.assert_close(two.up[module], one.up[module], atol=1e-4, rtol=1e-2)
    assert one.metadata == two.metadata and made[0].metrics.keys() == made[1].metrics.keys()
    assert not recipe()("aesthetic").new
