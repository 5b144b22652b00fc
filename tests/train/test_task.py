"""An expert's training is a unit that names all it reads."""

import pickle

from small_run import settings

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
