"""An exported adapter is the same LoRA in diffusers' and in kohya's names."""

import dataclasses
import shutil
from pathlib import Path

import drawn
import numpy as np
import pytest
import rounds_made
import tiny
import tiny_flows
import torch
from click.testing import CliRunner
from diffusers import StableDiffusionPipeline

import versat2i
from versat2i import cli
from versat2i.adapters import lora, lora_formats, mixture, mixture_files
from versat2i.formats import tensors
from versat2i.models import diffusion
from versat2i.models.diffusion import names
from versat2i.settings import params
from versat2i.settings.params import Model
from versat2i.tools import card, export


@pytest.fixture(params=[names.ATTENTION, names.CONVOLUTIONS], ids=["attention", "convolutions"])
def expert(request, model, tmp_path):
    """A LoRA whose alpha is not its rank, saved as `train_lora` does."""
    loaded = diffusion.load(model)
    adapter = tiny.adapter(loaded.denoiser, "geometry", rank=2, alpha=0.5, targets=request.param)
    adapter = dataclasses.replace(adapter, metadata=loaded.identity)
    lora.write(adapter, tmp_path / "geometry")
    return tmp_path / "geometry"


def draw(folder, weights=None):
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    if weights is not None:
        pipe.load_lora_weights(str(weights.parent), weight_name=weights.name)
    return pipe(
        "a red circle", num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="np"
    ).images


def test_both_files_draw_what_the_adapter_draws(expert, model_folder, tmp_path):
    base, expected = draw(model_folder), draw(model_folder, expert / lora.FILE)
    assert np.abs(expected - base).max() > 1e-3
    plain, kohya = export.export(expert, tmp_path / "out")
    np.testing.assert_array_equal(draw(model_folder, plain), expected)
    np.testing.assert_allclose(draw(model_folder, kohya), expected, atol=1e-5)


def test_without_alpha_both_files_are_the_same_update(expert, tmp_path):
    """ComfyUI looks for alpha as a tensor only, and never beside diffusers' names."""
    adapter = lora.read(expert, "geometry")
    plain, kohya = (tensors.read(path)[0] for path in export.export(expert, tmp_path / "out"))
    for module in adapter.down:
        expected = 0.25 * adapter.up[module].flatten(1) @ adapter.down[module].flatten(1)  # alpha 0.5, rank 2
        layer = f"lora_unet_{module.replace('.', '_')}"
        ours = plain[f"unet.{module}.lora_B.weight"], plain[f"unet.{module}.lora_A.weight"]
        theirs = kohya[f"{layer}.lora_up.weight"], kohya[f"{layer}.lora_down.weight"]
        for up, down in (ours, theirs):
            torch.testing.assert_close(up.flatten(1) @ down.flatten(1), expected)


def test_kohya_names_and_alpha_convert_back_to_the_same_tensors(expert, tmp_path):
    _, kohya = export.export(expert, tmp_path / "out")
    adapter, (state, _) = lora.read(expert, "geometry"), tensors.read(kohya)
    assert len(state) == 3 * len(adapter.down)
    for module in adapter.down:
        layer = f"lora_unet_{module.replace('.', '_')}"
        assert torch.equal(state[f"{layer}.lora_down.weight"], adapter.down[module])
        assert torch.equal(state[f"{layer}.lora_up.weight"], 0.25 * adapter.up[module])
        assert state[f"{layer}.alpha"].item() == 2


def test_the_files_say_what_they_are(expert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  train_lora@geometry:\n    cmd: x\n    outs:\n    - {path: geometry, md5: abc.dir}\n"
    )
    for path in export.export(expert.relative_to(tmp_path), tmp_path / "out"):
        _, metadata = tensors.read(path)
        wanted = {
            "ss_network_dim": "2",
            "ss_network_alpha": "2",
            "ss_network_module": "networks.lora",
            "aspect": "geometry",
            "dvc_hash": "abc.dir",
        }
        assert wanted.items() <= metadata.items() and {"base_model", "revision"} <= metadata.keys()
        assert metadata["ss_base_model_version"] == metadata["base_model"]  # of no family that kohya knows


def a1111(metadata):
    """The family for which A1111 lists a LoRA (extensions-builtin/Lora/network.py, detect_version)."""
    if metadata.get("ss_base_model_version", "").startswith("sdxl_"):
        return "SDXL"
    return "SD2" if metadata.get("ss_v2") == "True" else "SD1"


FAMILIES = [("sd1", "SD1", "sd_v1"), ("sd2", "SD2", "sd_v2"), ("sdxl", "SDXL", "sdxl_base_v1-0")]


@pytest.mark.parametrize(("family", "listed", "version"), FAMILIES)
@pytest.mark.parametrize("module", ["down_blocks.0.resnets.0.conv1", "down_blocks.1.attentions.0.proj_in"])
def test_the_family_is_that_of_the_base_whatever_the_layers(family, listed, version, module, tmp_path):
    metadata = {"base_model": "someone/model", "family": family}
    adapter = lora.Adapter("a", {module: torch.zeros(1, 320)}, {module: torch.zeros(320, 1)}, 1.0, metadata)
    lora.write(adapter, tmp_path / "a")
    for path in export.export(tmp_path / "a", tmp_path / "out"):
        found = tensors.read(path)[1]
        assert a1111(found) == listed and found["ss_base_model_version"] == version


def test_an_adapter_from_before_families_were_written_down_is_known_by_its_base(tmp_path):
    for base, listed in (("stabilityai/stable-diffusion-2-1", "SD2"), ("owner/model", "SD1")):
        adapter = lora.Adapter("a", {"x": torch.zeros(1, 1)}, {"x": torch.zeros(1, 1)}, 1.0, {"base_model": base})
        assert a1111(export.labels(adapter, tmp_path, "a")) == listed


# --------------------------------------------------------------------------- names


@pytest.fixture
def runs(tmp_path):
    """The folders of one expert from two seeds, in a project with a dvc.lock."""
    folders = [tmp_path / f"seed{seed}" / "adapters" / "geometry" for seed in range(2)]
    for value, folder in enumerate(folders):
        weights = {"x.to_q": torch.full((1, 4), float(value))}
        lora.write(lora.Adapter("geometry", weights, {"x.to_q": torch.ones(4, 1)}, 1.0, METADATA), folder)
    return folders


METADATA = {"base_model": "owner/name", "revision": "abc", "adapter": "geometry"}


def command(*arguments):
    return CliRunner().invoke(cli.main, ["export", *map(str, arguments)])


def test_adapters_of_one_name_are_told_apart_by_their_paths(runs, tmp_path):
    result = command(*runs, runs[0], "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {f"geometry-seed{seed}{end}" for seed in range(2) for end in (".safetensors", ".kohya.safetensors")}
    assert tensors.read(tmp_path / "out" / "geometry-seed1.safetensors")[1]["ss_output_name"] == "geometry-seed1"


def test_a_file_with_other_content_is_replaced_only_where_that_is_asked_for(runs, tmp_path):
    first, second = runs
    for _ in range(2):  # the same file again is no loss
        assert command(first, "--out", tmp_path / "out").exit_code == 0
    before = (tmp_path / "out" / "geometry.safetensors").read_bytes()
    result = command(second, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "geometry.safetensors is there already and holds something else. Write to another folder" in result.output
    assert (tmp_path / "out" / "geometry.safetensors").read_bytes() == before
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert command(second, "--out", tmp_path / "out", "--replace").exit_code == 0
    assert (tmp_path / "out" / "geometry.safetensors").read_bytes() != before


def test_an_adapter_has_its_own_name_wherever_it_lies(runs, tmp_path, monkeypatch):
    moved = runs[0].rename(tmp_path / "v1.2 final")
    monkeypatch.chdir(moved)
    assert command(".", "--out", tmp_path / "out").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "geometry.kohya.safetensors",
        "geometry.safetensors",
    ]


@pytest.mark.parametrize("name", ["../../escaped", "", ".hidden", "a/b"])
def test_a_name_that_is_no_file_name_gives_way_to_the_folders(name, tmp_path):
    weights = {"x.to_q": torch.ones(1, 4)}
    lora.write(
        lora.Adapter("a", weights, {"x.to_q": torch.ones(4, 1)}, 1.0, METADATA | {"adapter": name}), tmp_path / "a"
    )
    assert export.called([tmp_path / "a"]) == ["a"]


def test_the_hash_of_dvc_is_found_by_any_path(runs, tmp_path, monkeypatch):
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  train_lora@geometry:\n    cmd: x\n    outs:\n"
        "    - {path: seed0/adapters/geometry, md5: abc.dir}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert export.dvc_hash(runs[0]) == export.dvc_hash(runs[0].relative_to(tmp_path)) == "abc.dir"
    assert export.dvc_hash(runs[1]) is None
    monkeypatch.chdir(runs[0])
    assert export.dvc_hash(Path()) == "abc.dir"


def test_a_mixture_is_exported_collapsed(model, model_folder, tmp_path):
    """Exact for gates that look at nothing."""
    loaded = diffusion.load(model)
    experts = [tiny.adapter(loaded.denoiser, name, alpha=0.2) for name in ("colour", "form")]
    mixed = mixture.attach(loaded.denoiser, experts, "layer")
    for number, parameter in enumerate(mixed.parameters()):
        parameter.data += 0.1 * (number % 3)
    mixture_files.save(mixed, tmp_path / "mixture", loaded.identity)
    plain, kohya = export.export(tmp_path / "mixture", tmp_path / "out")
    lora.write(mixture.collapse(mixed, "mixture"), tmp_path / "collapsed")
    expected = draw(model_folder, tmp_path / "collapsed" / lora.FILE)
    for path in (plain, kohya):
        np.testing.assert_allclose(draw(model_folder, path), expected, atol=1e-4)


def test_a_damaged_lock_file_is_named(tmp_path):
    (tmp_path / "dvc.lock").write_text("stages: [1, 2")
    with pytest.raises(ValueError, match=r"dvc.lock: not DVC's lock file"):
        export.dvc_hash(tmp_path / "geometry")


def test_comfyui_reads_each_layer_below_diffusion_model_with_its_alpha():
    module = "layers.0.attention.to_q"
    weights = {module: torch.ones(2, 4)}, {module: torch.ones(4, 2)}
    adapter = lora.Adapter("a", *weights, 2.0, {"family": "z_image"})
    found = export.comfyui_state(adapter)
    assert {key: list(value.shape) for key, value in found.items()} == {
        f"diffusion_model.{module}.lora_down.weight": [2, 4],
        f"diffusion_model.{module}.lora_up.weight": [4, 2],
        f"diffusion_model.{module}.alpha": [],
    }
    assert found[f"diffusion_model.{module}.alpha"].item() == 2.0


# Of tiny models: the rows of ComfyUI's layers that are a layer of diffusers, (first, amount), by what ComfyUI's own
# maps say (comfy/utils.py: flux_to_diffusers, mmdit_to_diffusers; its hidden size is 32, of SD 3 16).
COMFYUI = {
    "flux": {
        "transformer_blocks.0.attn.to_k": ("double_blocks.0.img_attn.qkv", 32, 32),
        "transformer_blocks.0.attn.add_v_proj": ("double_blocks.0.txt_attn.qkv", 64, 32),
        "transformer_blocks.0.attn.to_add_out": ("double_blocks.0.txt_attn.proj", 0, 32),
        "single_transformer_blocks.0.attn.to_v": ("single_blocks.0.linear1", 64, 32),
    },
    "chroma": {
        "transformer_blocks.0.attn.to_q": ("double_blocks.0.img_attn.qkv", 0, 32),
        "single_transformer_blocks.0.attn.to_k": ("single_blocks.0.linear1", 32, 32),
    },
    "klein": {
        "transformer_blocks.0.attn.to_out.0": ("double_blocks.0.img_attn.proj", 0, 32),
        "transformer_blocks.0.attn.add_k_proj": ("double_blocks.0.txt_attn.qkv", 32, 32),
        "single_transformer_blocks.0.attn.to_out": ("single_blocks.0.linear2", 0, 32),
    },
    "lumina2": {  # 2 heads of queries, one of keys and values, each of 8
        "layers.0.attn.to_q": ("layers.0.attention.qkv", 0, 16),
        "noise_refiner.1.attn.to_v": ("noise_refiner.1.attention.qkv", 24, 8),
        "context_refiner.0.attn.to_out.0": ("context_refiner.0.attention.out", 0, 16),
    },
    "krea2": {
        "transformer_blocks.0.attn.to_gate": ("blocks.0.attn.gate", 0, 32),
        "transformer_blocks.0.attn.to_out.0": ("blocks.0.attn.wo", 0, 32),
    },
    "sd35": {
        "transformer_blocks.0.attn2.to_k": ("joint_blocks.0.x_block.attn2.qkv", 16, 16),
        "transformer_blocks.1.attn.add_q_proj": ("joint_blocks.1.context_block.attn.qkv", 0, 16),
        "transformer_blocks.0.attn.to_add_out": ("joint_blocks.0.context_block.attn.proj", 0, 16),
    },
    "z_image": {"layers.0.attention.to_k": ("layers.0.attention.to_k", 0, 32)},
    "qwen_image": {"transformer_blocks.0.attn.to_q": ("transformer_blocks.0.attn.to_q", 0, 48)},
}


@pytest.fixture(scope="module", params=COMFYUI)
def flow(request, tmp_path_factory):
    """A model, and a LoRA of it whose alpha is not its rank."""
    folder = tiny_flows.folder(request.param, tmp_path_factory.mktemp("flow") / request.param)
    model = diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
    for number, parameter in enumerate(lora.attach(model.denoiser, "e", 2, 3.0, "attention", 0)):
        torch.nn.init.normal_(parameter, 0, 0.3, torch.Generator().manual_seed(number))
    adapter = lora.extract(model.denoiser, "e", 3.0, model.origin)
    model.denoiser.unload_lora()
    return request.param, model, adapter


def comfyui_file(adapter, tmp_path):
    lora.write(adapter, tmp_path / "e")
    return next(path for path in export.export(tmp_path / "e", tmp_path / "out") if "comfyui" in path.name)


def update(state, layer):
    """What ComfyUI adds to a weight: ``alpha / rank`` times the product; the rank is that of the matrix down."""
    start = f"diffusion_model.{layer}"
    down = state[f"{start}.lora_down.weight"]
    return state[f"{start}.alpha"].item() / len(down) * state[f"{start}.lora_up.weight"] @ down


def test_comfyui_adds_the_same_to_the_rows_of_its_layers(flow, tmp_path):
    name, _, adapter = flow
    state, _ = tensors.read(comfyui_file(adapter, tmp_path))
    for module, (layer, first, amount) in COMFYUI[name].items():
        expected = 1.5 * adapter.up[module] @ adapter.down[module]
        torch.testing.assert_close(update(state, layer)[first : first + amount], expected)
        assert len(expected) == amount


def test_rows_of_layers_that_the_adapter_leaves_alone_are_zero(flow, tmp_path):
    name, _, adapter = flow
    if name not in ("flux", "chroma"):
        pytest.skip("it has no feed-forward in one layer with attention")
    found = update(tensors.read(comfyui_file(adapter, tmp_path))[0], "single_blocks.0.linear1")
    assert found.shape[0] == 7 * 32 and not found[96:].any() and found[:96].any()


def test_the_file_for_comfyui_comes_back_as_the_same_updates(flow, tmp_path):
    _, model, adapter = flow
    found = lora_formats.read(comfyui_file(adapter, tmp_path), "e", model)
    assert found.down.keys() == adapter.down.keys() and found.rank == 2
    for module in adapter.down:
        expected = 1.5 * adapter.up[module] @ adapter.down[module]
        torch.testing.assert_close(found.scale * found.up[module] @ found.down[module], expected)


def test_a_part_of_unknown_size_is_not_left_out_of_a_file_for_comfyui():
    module = "layers.0.attn.to_q"
    adapter = lora.Adapter("a", {module: torch.ones(1, 16)}, {module: torch.ones(16, 1)}, 1.0, {"family": "lumina2"})
    with pytest.raises(ValueError, match=r"'layers.0.attention.qkv' of ComfyUI also holds layers that the adapter"):
        export.comfyui_state(adapter)


def test_one_file_for_the_first_base_holds_all_rounds(model, model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = rounds_made.make(model, Path("rounds/1"), "one")
    base = rounds_made.make(base, Path("rounds/2"), "two", rank=3)
    loaded = diffusion.load(base)
    adapter = tiny.adapter(loaded.denoiser, "geometry", rank=2, alpha=0.5)
    lora.write(dataclasses.replace(adapter, metadata={**loaded.identity, "adapter": "geometry"}), Path("geometry"))
    before = diffusion.load(model).denoiser.state_dict()
    plain, _ = export.export(Path("geometry"), Path("out"))
    state, metadata = tensors.read(plain)
    assert "start" not in metadata and metadata["revision"] == loaded.identity["revision"]
    assert metadata["aspect"] == "geometry"
    for module in adapter.down:
        whole = state[f"unet.{module}.lora_B.weight"] @ state[f"unet.{module}.lora_A.weight"]
        rounds = loaded.denoiser.get_submodule(module).weight - before[f"{module}.weight"]
        torch.testing.assert_close(whole, rounds + 0.25 * adapter.up[module] @ adapter.down[module])
    shutil.rmtree("rounds/2")
    with pytest.raises(ValueError, match="its base has rounds/2 in it, an earlier round, which is not here"):
        export.export(Path("geometry"), Path("again"))


def test_a_published_mixture_brings_the_earlier_rounds_along(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = rounds_made.make(model, Path("rounds/1"), "one")
    loaded = diffusion.load(base)
    mixed = mixture.attach(loaded.denoiser, [tiny.adapter(loaded.denoiser, "colour", alpha=0.2)], "layer")
    mixture_files.save(mixed, Path("mixture"), loaded.identity)
    settings = drawn.settings(model, aspects=("geometry",))
    settings = settings.model_copy(update={"rewards": {"geometry": params.Reward(evaluator="regularity")}})
    card.publishable(Path("mixture"), Path("out"), settings)
    shutil.rmtree("rounds")
    shutil.rmtree("mixture")
    pipe = versat2i.load("out")
    layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    assert torch.equal(pipe.unet.get_submodule(layer).base.weight, mixed.layers[layer].base.weight)
