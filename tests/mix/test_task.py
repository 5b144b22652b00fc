"""A union is a unit that names all it reads."""

from small_run import settings

from versat2i.mix import task
from versat2i.settings import params
from versat2i.settings.compute import CPU
from versat2i.work import places


def test_it_reads_the_model_the_experts_their_picks_and_its_checkpoint(tmp_path, monkeypatch, model_folder):
    monkeypatch.chdir(tmp_path)
    for aspect in ("aesthetic", "faithfulness"):
        for folder in (places.selected(aspect), places.adapter(aspect)):
            folder.mkdir(parents=True)
            (folder / "adapter.safetensors").write_bytes(aspect.encode())
    recipe = task.Recipe(params.Params.model_validate(settings(model_folder)), CPU)
    *rest, checkpoint = recipe.reads("mixture")
    experts = [places.adapter("aesthetic"), places.adapter("faithfulness")]
    picks = [places.selected("aesthetic"), places.selected("faithfulness")]
    assert rest == [model_folder, *experts, *picks]
    assert checkpoint.parent == places.home() / "mix" and checkpoint != recipe.reads("uniform")[-1]
