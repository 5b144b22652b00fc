"""A saved adapter draws the same wherever it is loaded, and only with the base it was made for."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rounds_made
import tiny
import torch
from diffusers import StableDiffusionPipeline

import versat2i
from versat2i.adapters import loading, lora, mixture, mixture_files
from versat2i.generate import painter, plan
from versat2i.models import diffusion
from versat2i.models.diffusion import names
from versat2i.seeds import stable_seed
from versat2i.settings.params import Model, Sampling

SCOPES = ("token", "image", "layer")
SAMPLING = Sampling(steps=2, guidance_scale=4.0, batch_size=4)


@pytest.fixture
def loaded(model):
    return diffusion.load(model)


@pytest.fixture
def plain_lora(loaded, tmp_path):
    adapter = dataclasses.replace(tiny.adapter(loaded.denoiser, "colour", alpha=0.2), metadata=loaded.identity)
    lora.write(adapter, tmp_path / "colour")
    return tmp_path / "colour"


@pytest.fixture
def mix(model, tmp_path):
    """``mix(scope)``: the folder of a mixture whose gates follow their input."""

    def made(scope):
        loaded = diffusion.load(model)
        experts = [tiny.adapter(loaded.denoiser, name, alpha=0.2) for name in ("colour", "form")]
        mixed, generator = mixture.attach(loaded.denoiser, experts, scope), torch.Generator().manual_seed(1)
        for parameter in mixed.parameters():
            parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator)
        mixture_files.save(mixed, tmp_path / scope, loaded.identity)
        return tmp_path / scope

    return made


def predict(loaded):
    noisy = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return loaded.predict(noisy, torch.tensor([500]), loaded.embed(["a red circle"]))


def test_a_plain_lora_is_put_as_diffusers_puts_it(loaded, model_folder, plain_lora):
    base = predict(loaded)
    loading.put(loaded, plain_lora)
    plain = StableDiffusionPipeline.from_pretrained(model_folder)
    plain.load_lora_weights(str(plain_lora))
    expected = predict(type(loaded)(plain, {}))
    assert (expected - base).abs().max() > 1e-3
    torch.testing.assert_close(predict(loaded), expected)


def test_a_plain_lora_is_merged_before_it_draws(loaded, model, plain_lora):
    loading.Put(plain_lora)(loaded)
    beside = diffusion.load(model)
    loading.put(beside, plain_lora)
    assert not any("lora" in name for name, _ in loaded.denoiser.named_parameters())
    torch.testing.assert_close(predict(loaded), predict(beside))


def test_weights_of_eight_bits_are_not_merged_into(model, plain_lora):
    coarse = diffusion.load(model.model_copy(update={"dtype": "bfloat16"}))
    loading.Put(plain_lora)(coarse)
    assert any("lora" in name for name, _ in coarse.denoiser.named_parameters())


@pytest.mark.parametrize("scope", SCOPES)
def test_a_mixture_is_put_with_its_masks(loaded, mix, scope):
    folder = mix(scope)
    base = predict(loaded)
    loading.put(loaded, folder)
    assert (predict(loaded) - base).abs().max() > 1e-3
    with_masks = predict(loaded)
    loaded.denoiser.masking = lambda mask: torch.no_grad()  # as if nothing were padding
    # only a gate that pools over tokens looks at what is padding
    assert torch.equal(predict(loaded), with_masks) == (scope != "image")


@pytest.mark.parametrize("name", [".", "v1.2"])
def test_a_lora_may_lie_in_a_folder_of_any_name(loaded, plain_lora, monkeypatch, name):
    folder = plain_lora
    if name == ".":
        monkeypatch.chdir(folder)
    else:
        folder.rename(folder.with_name(name))
    base = predict(loaded)
    loading.put(loaded, type(folder)(name) if name == "." else folder.with_name(name))
    assert not torch.equal(predict(loaded), base)


def test_an_adapter_of_another_base_is_refused(loaded, mix, plain_lora):
    other = diffusion.Backbone(loaded.pipe, {"base_model": "another", "revision": "123"})
    for folder in (plain_lora, mix("token")):
        with pytest.raises(ValueError) as error:
            loading.put(other, folder)
        made_for = loaded.identity
        assert str(error.value) == (
            f"{folder}: made for {made_for['base_model']} at revision {made_for['revision']}, but the model in "
            "params.yaml is another at 123. Train it again or change `model`"
        )


@pytest.mark.parametrize("share", ["one", "all"])
def test_layers_that_the_model_lacks_are_an_error_with_a_near_name(loaded, tmp_path, share):
    """diffusers loads the rest, or nothing, and says so in a log."""
    adapter = dataclasses.replace(tiny.adapter(loaded.denoiser, "colour"), metadata=loaded.identity)
    module = "mid_block.attentions.0.transformer_blocks.0.attn1.to_k"
    lost = [module] if share == "one" else list(adapter.down)

    def renamed(part):
        return {(f"{key}_proj" if key in lost else key): value for key, value in part.items()}

    adapter = dataclasses.replace(adapter, down=renamed(adapter.down), up=renamed(adapter.up))
    lora.write(adapter, tmp_path / "colour")
    before = predict(loaded)
    with pytest.raises(ValueError) as error:
        loading.put(loaded, tmp_path / "colour")
    first = min(lost)
    assert str(error.value) == (
        f"{tmp_path / 'colour' / lora.FILE}: {len(lost)} of its {len(adapter.down)} layers are not in this "
        f"UNet2DConditionModel, such as '{first}_proj'; use the base model it was trained on. Did you mean '{first}'?"
    )
    assert torch.equal(predict(loaded), before)


def test_a_base_that_has_changed_since_is_refused(model_folder, tmp_path):
    base = shutil.copytree(model_folder, tmp_path / "base")
    loaded = diffusion.load(Model(path=str(base), dtype="float32", threads=1))
    adapter = dataclasses.replace(tiny.adapter(loaded.denoiser, "colour"), metadata=loaded.identity)
    lora.write(adapter, tmp_path / "colour")
    with (base / "vae/config.json").open("a") as config:
        config.write(" ")
    with pytest.raises(ValueError, match=r"colour: made for .*base at revision"):
        versat2i.load(tmp_path / "colour")


def test_a_folder_without_an_adapter_says_so(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        versat2i.load(tmp_path)


def test_an_adapter_that_names_no_base_says_so(loaded, tmp_path):
    lora.write(dataclasses.replace(tiny.adapter(loaded.denoiser, "colour"), metadata={}), tmp_path / "stray")
    with pytest.raises(ValueError, match="stray: does not say which base model it was made for"):
        versat2i.load(tmp_path / "stray")


def test_the_identity_of_a_preparation_is_that_of_its_files(plain_lora):
    before = loading.Put(plain_lora).identity()
    assert loading.Put(plain_lora).identity() == before
    data = bytearray((plain_lora / lora.FILE).read_bytes())
    data[-1] ^= 1
    (plain_lora / lora.FILE).write_bytes(data)
    assert loading.Put(plain_lora).identity() != before


# --------------------------------------------------------------------------- versat2i.load


def painted(model, folder):
    """The image of candidate 0 of a prompt, as the pipeline's stages draw it."""
    loaded = diffusion.load(model)
    loading.put(loaded, folder)
    shard = plan.Shard("00000-000", (("p0", 0),), {"p0": "a red circle"})
    return next(painter.Painter(loaded, SAMPLING, seed=3).candidates(shard)).image


@pytest.mark.parametrize("scope", SCOPES)
def test_a_call_of_the_loaded_mixture_draws_what_the_stages_draw(model, mix, scope):
    folder = mix(scope)
    pipe = versat2i.load(str(folder))
    image = pipe(
        "a red circle",
        generator=torch.Generator().manual_seed(stable_seed(3, "p0", 0)),
        num_inference_steps=2,
        guidance_scale=4.0,
    ).images[0]
    np.testing.assert_array_equal(np.asarray(image), painted(model, folder))


def test_a_call_of_the_loaded_lora_draws_what_the_stages_draw(model, plain_lora):
    pipe = versat2i.load(plain_lora)
    image = pipe(
        "a red circle",
        generator=torch.Generator().manual_seed(stable_seed(3, "p0", 0)),
        num_inference_steps=2,
        guidance_scale=4.0,
    ).images[0]
    np.testing.assert_array_equal(np.asarray(image), painted(model, plain_lora))


@pytest.fixture
def pipe(mix):
    return versat2i.load(mix("image"))


def masks_seen(pipe, *args, **kwargs):
    """How many tokens of each row of the batch the gates of text layers hold for text."""
    seen = []
    hooks = [
        module.register_forward_pre_hook(lambda layer, _: seen.append(layer.mask))
        for name, module in pipe.unet.named_modules()
        if names.STABLE.layout(name)
    ]
    pipe(*args, num_inference_steps=1, output_type="latent", **kwargs)
    for hook in hooks:
        hook.remove()
    assert len(seen) == len(hooks) > 0
    counts = [None if mask is None else mask.sum(1).tolist() for mask in seen]
    assert all(count == counts[0] for count in counts)
    return counts[0]


RED, HEARTS = "a red circle", "two small pink hearts on a navy background"  # 3 and 8 words, 2 marks
CALLS = [
    ((RED,), {}, [2, 5]),
    ((RED,), {"guidance_scale": 1.0}, [5]),
    ((RED,), {"negative_prompt": HEARTS}, [10, 5]),
    ((RED,), {"num_images_per_prompt": 2}, [2, 2, 5, 5]),
    (([RED, HEARTS],), {}, [2, 2, 5, 10]),
    (([RED, HEARTS],), {"num_images_per_prompt": 2}, [2, 2, 2, 2, 5, 5, 10, 10]),
    (
        ([RED, HEARTS],),
        {"negative_prompt": ["two stars", ""], "num_images_per_prompt": 2},
        [4, 4, 2, 2, 5, 5, 10, 10],
    ),
    (([RED, HEARTS],), {"guidance_scale": 1.0, "num_images_per_prompt": 2}, [5, 5, 10, 10]),
    ((RED,), {"guidance_scale": 1.0, "negative_prompt": HEARTS}, [5]),
]


@pytest.mark.parametrize(("args", "kwargs", "expected"), CALLS)
def test_the_padding_mask_follows_the_prompts(pipe, args, kwargs, expected):
    assert masks_seen(pipe, *args, **kwargs) == expected


def test_each_call_has_its_own_mask(pipe):
    assert masks_seen(pipe, [RED, HEARTS]) == [2, 2, 5, 10]
    assert masks_seen(pipe, RED) == [2, 5]


def test_prompts_given_as_embeddings_have_no_mask(pipe):
    embeddings, negative = pipe.encode_prompt(RED, "cpu", 1, True)
    assert masks_seen(pipe, prompt_embeds=embeddings, negative_prompt_embeds=negative) is None


def test_negative_embeddings_that_guidance_does_not_use_leave_the_mask_alone(pipe):
    _, negative = pipe.encode_prompt(RED, "cpu", 1, True)
    assert masks_seen(pipe, RED, negative_prompt_embeds=negative, guidance_scale=1.0) == [5]


@pytest.fixture
def expert_of_round_two(model, tmp_path, monkeypatch):
    """An expert in a project, trained on a base with a round in it; the base, and the folder of the expert."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").touch()
    monkeypatch.chdir(project)
    base = rounds_made.make(model, Path("rounds/1"), "one")
    loaded = diffusion.load(base)
    adapter = dataclasses.replace(tiny.adapter(loaded.denoiser, "colour", rank=3, alpha=0.2), metadata=loaded.identity)
    lora.write(adapter, project / "data/adapters/colour")
    return base, project / "data/adapters/colour"


def test_an_adapter_of_a_later_round_is_loaded_onto_the_rounds_before_it(expert_of_round_two, monkeypatch, tmp_path):
    base, folder = expert_of_round_two
    expected = diffusion.load(base)
    loading.put(expected, folder)
    for place in (folder.parents[2], tmp_path):  # from the project and from outside
        monkeypatch.chdir(place)
        pipe = versat2i.load(folder)
        pipe.set_progress_bar_config(disable=True)
        expected.pipe.set_progress_bar_config(disable=True)
        told = {"num_inference_steps": 2, "output_type": "np"}
        drawn, wanted = (
            each("a red circle", generator=torch.Generator().manual_seed(0), **told).images
            for each in (pipe, expected.pipe)
        )
        np.testing.assert_array_equal(drawn, wanted)


def test_without_the_earlier_rounds_or_with_others_it_is_refused_in_one_line(expert_of_round_two, model):
    _, folder = expert_of_round_two
    expected = r"made for a base with rounds/1@[0-9a-f]{16} in it, but here the base has none"
    with pytest.raises(ValueError, match=expected):
        loading.put(diffusion.load(model), folder)
    expected = f"{folder}: its base has rounds/1 in it, an earlier round, which is not here as it was then. Run `dvc "
    rounds_made.make(model, Path("rounds/1"), "another")
    with pytest.raises(ValueError, match=re.escape(expected)):
        versat2i.load(folder)
    shutil.rmtree("rounds")
    with pytest.raises(ValueError, match=re.escape(expected)) as error:
        versat2i.load(folder)
    assert "\n" not in str(error.value)
