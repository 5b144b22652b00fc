"""What params name is downloaded ahead of time, and then the pipeline needs no hub."""

import json
import shutil

import checkpoints
import drawn
import hub_server
import pytest
import tiny_families
import tiny_vision
from hub_server import REVISION, Hub

from versat2i.settings import params
from versat2i.settings.compute import CPU
from versat2i.tools import fetch
from versat2i.work import fingerprint

FETCH = "from versat2i.cli import main; main(['fetch'])"
STAGES = """
from stages import evaluate, generate, prompts
for stage, *words in ((prompts,), (generate,), (evaluate, "base")):
    stage.main(words, standalone_mode=False)
"""


def settings():
    """Params of a model and evaluators that lie at a hub."""
    model = params.Model(repo="owner/sd15", revision=REVISION, dtype="float32", threads=1)
    whole = drawn.settings(model, ("aesthetic",)).model_dump()
    whole["generate"]["safety"] = "drop"
    whole["rewards"]["aesthetic"] = {"evaluator": "pyiqa:piqe"}
    whole["evaluate"]["judges"] = [{"evaluator": "pickscore", "model": f"owner/clip@{REVISION}"}]
    return whole


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    model = tiny_families.folder("sd15 with checker", root / "sd15")
    for part in ("unet", "safety_checker"):  # as published repositories have them, not needed here
        (model / part / "model.fp16.safetensors").write_bytes(b"half")
    (model / "v1-5-pruned.safetensors").write_bytes(b"another format")
    clip = tiny_vision.clip(root / "clip")
    for name in ("tf_model.h5", "pytorch_model.bin", "flax_model.msgpack"):
        (root / "clip" / name).write_bytes(b"the same again")
    return Hub({"owner/sd15": model, "owner/clip": root / "clip"}) if clip else None


def test_what_was_fetched_is_enough_without_a_hub(hub, tmp_path):
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(settings()))
    shutil.copy(fingerprint.ROOT / "environment.json", tmp_path)
    with hub:
        environment = hub.environment(tmp_path / "home")
        done = hub_server.run(FETCH, environment, tmp_path)
        assert not done.returncode, done.stderr
    assert done.stdout.splitlines() == [
        f"model owner/sd15 at revision {REVISION}",
        "aesthetic pyiqa:piqe: weights of pyiqa:piqe",
        f"judges pickscore: owner/clip@{REVISION}",
        "3 fetched or found",
    ]
    assert "100%" in done.stderr  # a progress bar
    names = {name for _, name in hub.files}
    assert {"unet/diffusion_pytorch_model.safetensors", "safety_checker/model.safetensors"} <= names
    assert not {name for name in names if "fp16" in name or name.startswith("v1-5")}
    assert "model.safetensors" in names and not names & {"tf_model.h5", "pytorch_model.bin", "flax_model.msgpack"}
    ran = hub_server.run(STAGES, environment | {"HF_HUB_OFFLINE": "1"}, tmp_path)
    assert not ran.returncode, ran.stdout + ran.stderr
    counts = json.loads((tmp_path / "metrics/generate.json").read_text())
    assert 0 < counts["flagged"] < counts["candidates"]


OTHER_FORMS = """
import sys
from versat2i.models import diffusion
from versat2i.models.diffusion import loading
from versat2i.settings.params import Model
source = {"file": sys.argv[1], "config": sys.argv[2]} if sys.argv[1:] else {"repo": "owner/half", "revision": REVISION}
model = Model(**source, dtype="float32", threads=1)
loading.fetch(model, checker=False) if FETCHES else print(diffusion.load(model).identity["revision"])
"""


@pytest.mark.parametrize("single", [False, True])
def test_a_repository_of_half_precision_or_with_the_configs_of_a_file_is_enough_without_a_hub(single, tmp_path):
    pipe = tiny_families.FAMILIES["sd15"]()
    pipe.save_pretrained(tmp_path / "half", variant="fp16")
    file = checkpoints.write(pipe, tmp_path / "model.safetensors")
    arguments = f"'', {str(file)!r}, 'owner/half@{REVISION}'" if single else "''"
    script = f"import sys; sys.argv = [{arguments}]; REVISION = {REVISION!r}; FETCHES = %s\n{OTHER_FORMS}"
    with Hub({"owner/half": tmp_path / "half"}) as hub:
        environment = hub.environment(tmp_path / "home")
        done = hub_server.run(script % True, environment, tmp_path)
        assert not done.returncode, done.stderr
    weights = {name for _, name in hub.files if name.endswith(".safetensors")}
    parts = {"unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"}
    assert weights == (set() if single else {f"{part}.fp16.safetensors" for part in parts})
    loaded = hub_server.run(script % False, environment | {"HF_HUB_OFFLINE": "1"}, tmp_path)
    assert not loaded.returncode, loaded.stdout + loaded.stderr


def test_params_of_local_folders_need_nothing(model):
    assert fetch.everything(drawn.settings(model), CPU, print) == 0


def test_fetching_is_refused_where_the_hub_is_switched_off():
    with pytest.raises(ValueError, match=r"off \(HF_HUB_OFFLINE\), so model owner/sd15 at .* Say HF_HUB_OFFLINE=0"):
        fetch.everything(params.Params.model_validate(settings()), CPU, print)


def test_what_is_needed_twice_is_fetched_once(tmp_path):
    whole = settings()
    whole["aspects"] = ["faithfulness"]
    vqa = {"evaluator": "tifa", "vqa": f"a/blip@{REVISION}", "embedder": f"a/mpnet@{REVISION}"}
    whole |= {name: {"faithfulness": whole[name]["aesthetic"]} for name in ("select", "train_lora")}
    whole["rewards"] = {"faithfulness": vqa}
    whole["evaluate"]["judges"] = [{"evaluator": "hpsv2", "model": f"a/blip@{REVISION}"}]
    asked = {"dtype": "bfloat16", "batch_size": 1, "tokens": 9, "template": "t", "check": "c"}
    for split, model in {"train": f"a/qwen@{REVISION}", "dev": f"a/qwen@{REVISION}", "eval": str(tmp_path)}.items():
        whole["prompts"][split] = [{"file": "p.txt", "asked": asked | {"model": model}}]
    keys = [need.key for need in fetch.needs(params.Params.model_validate(whole), CPU)]
    assert keys == [f"model owner/sd15@{REVISION}", *(f"a/{name}@{REVISION}" for name in ("blip", "mpnet", "qwen"))]


def test_a_model_needed_whole_and_as_configuration_is_fetched_as_both():
    whole = settings()
    whole["rewards"]["aesthetic"] = {"evaluator": "levels", "model": f"a/qwen@{REVISION}"}
    whole["evaluate"]["judges"] = [{"evaluator": "hpsv3", "model": f"a/h@{REVISION}", "base": f"a/qwen@{REVISION}"}]
    keys = {need.key for need in fetch.needs(params.Params.model_validate(whole), CPU)}
    assert {f"a/qwen@{REVISION}", f"a/h@{REVISION}", f"a/qwen@{REVISION} (configuration)"} <= keys


def test_what_only_filters_images_or_refuses_prompts_is_fetched_too():
    whole = settings()
    whole["rewards"]["safety"] = {"evaluator": "classifier", "model": f"a/seer@{REVISION}", "unsafe": ["nsfw"]}
    whole["select"]["aesthetic"]["filter"] = {"safety": 0.8}
    classifier = {"model": f"a/reader@{REVISION}", "unsafe": ["toxic"], "most": 0.5, "dtype": "float32"}
    refuse = {"classifier": classifier | {"batch_size": 1}}
    whole["prompts"]["train"] = [{"file": "p.txt", "refuse": refuse}]
    keys = {need.key for need in fetch.needs(params.Params.model_validate(whole), CPU)}
    assert {f"a/seer@{REVISION}", f"a/reader@{REVISION}"} <= keys
