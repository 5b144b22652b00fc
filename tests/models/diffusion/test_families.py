"""Every family draws what plain diffusers draws, trains by its own formula, and goes through all stages."""

import shutil
from functools import partial
from importlib import import_module
from statistics import NormalDist

import drawn
import numpy as np
import pytest
import tiny_families
import torch
from click.testing import CliRunner
from diffusers import DiffusionPipeline

import versat2i
from versat2i.adapters import loading, lora, mixture, mixture_files
from versat2i.formats import metrics, tensors
from versat2i.models import diffusion
from versat2i.models.diffusion import names
from versat2i.rewards import low_level
from versat2i.seeds import stable_seed
from versat2i.settings.params import Model
from versat2i.tools import export
from versat2i.train import losses
from versat2i.work import fingerprint, places

RED, HEARTS = "a red circle", "two pink hearts on a navy background"
DENOISERS = {"sd15": "unet", "sd21": "unet", "sdxl": "unet", "sd35": "transformer"}


@pytest.fixture(scope="module", params=tiny_families.FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return tiny_families.folder(family, tmp_path_factory.mktemp("family") / family)


@pytest.fixture
def settings(folder):
    return Model(path=str(folder), dtype="float32", threads=1)


@pytest.fixture
def loaded(settings):
    return diffusion.load(settings)


def plain(folder):
    pipe = DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def image(pipe, guidance_scale=3.0, text=RED):
    generator = torch.Generator().manual_seed(7)
    return np.asarray(pipe(text, generator=generator, num_inference_steps=2, guidance_scale=guidance_scale).images[0])


def ours(model, guidance_scale=3.0, text=RED):
    return model.decode(model.draw(model.embed([text]), model.embed([""]), [7], 2, guidance_scale))[0]


def adapter(model, name="colour", seed=0):
    """A LoRA on the model's attention whose weights have all been moved."""
    for number, parameter in enumerate(lora.attach(model.denoiser, name, 2, 3.0, "attention", seed)):
        torch.nn.init.normal_(parameter, 0, 0.3, torch.Generator().manual_seed(seed + number))
    return lora.extract(model.denoiser, name, 3.0, model.identity)


@pytest.fixture
def expert(settings, tmp_path):
    """The folder of a LoRA."""
    lora.write(adapter(diffusion.load(settings)), tmp_path / "colour")
    return tmp_path / "colour"


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_an_image_is_the_one_that_plain_diffusers_draws(loaded, folder, guidance_scale):
    found, expected = (np.asarray(x, int) for x in (ours(loaded, guidance_scale), image(plain(folder), guidance_scale)))
    difference = np.abs(found - expected)
    assert difference.max() <= 1 and difference.mean() < 0.001  # kernels of some CPUs round a batch otherwise


def test_the_prediction_is_what_the_denoiser_says_within_the_pipeline(loaded):
    """With all that a family tells its denoiser besides noisy latents, timestep and text."""
    seen = []
    hook = loaded.denoiser.register_forward_hook(
        lambda module, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True
    )
    prompts = loaded.embed([RED, HEARTS])
    loaded.draw(prompts, loaded.embed([""]), [1, 2], 1, 1.0)
    hook.remove()
    args, kwargs, out = seen[0]
    noisy, times = args if args else (kwargs["hidden_states"], kwargs["timestep"])
    with torch.no_grad():
        found = loaded.predict(noisy, times.expand(2), prompts)
    torch.testing.assert_close(found, out[0], atol=1e-6, rtol=1e-5)


def test_embeddings_do_not_depend_on_the_batch_that_they_are_made_in(loaded):
    texts = [RED, "", HEARTS]
    whole, single = loaded.embed(texts), loaded.embed(texts, batch_size=1)
    torch.testing.assert_close(whole.hidden, single.hidden)
    torch.testing.assert_close(whole.pooled, single.pooled)
    assert torch.equal(whole.mask, single.mask) and whole.mask.shape == whole.hidden.shape[:2]


def test_a_dropped_caption_is_the_empty_prompt(loaded):
    prompts, empty = loaded.embed([RED, HEARTS]), loaded.embed([""])
    found = prompts.replaced(torch.tensor([False, True]), empty)
    expected = loaded.embed([RED, ""])
    torch.testing.assert_close(found.hidden, expected.hidden)
    torch.testing.assert_close(found.pooled, expected.pooled)
    assert torch.equal(found.mask, expected.mask)
    assert torch.equal(prompts.mask, loaded.embed([RED, HEARTS]).mask)  # the originals stay


def alpha_bars():
    """Cumulative alphas of Stable Diffusion's schedule."""
    return (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).cumprod(0)[:, None, None, None]


def noised(family, latents, noise, generator):
    """Timesteps, one from each equal part of the schedule, noisy latents and target by definition."""
    amount = len(latents)
    quantiles = (torch.arange(amount) + torch.rand(amount, generator=generator)) / amount
    if family == "sd35":
        normal = torch.tensor([NormalDist().inv_cdf(1 - q) for q in quantiles.tolist()])
        unshifted = 1 - (normal.sigmoid() * 1000).floor() / 1000  # the scheduler's times fall from 1 to 1/1000
        sigma = 3 * unshifted / (1 + 2 * unshifted)  # shift 3 (Esser et al. 2024, eq. 23)
        part = sigma[:, None, None, None]
        return 1000 * sigma, (1 - part) * latents + part * noise, noise - latents
    times = (quantiles * 1000).long()
    alpha, sigma = alpha_bars()[times].sqrt(), (1 - alpha_bars()[times]).sqrt()
    target = alpha * noise - sigma * latents if family == "sd21" else noise
    return times, alpha * latents + sigma * noise, target


def clean(model, *shape):
    channels = model.pipe.vae.config.latent_channels
    return torch.randn(*shape, channels, 16, 16, generator=torch.Generator().manual_seed(1))


def test_the_loss_is_its_formula(loaded, family):
    latents, prompts = clean(loaded, 4), loaded.embed([RED, "a blue star", HEARTS, ""])
    with torch.no_grad():
        found = losses.diffusion_loss(loaded, latents, prompts, torch.Generator().manual_seed(5), None)
        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(latents.shape, generator=generator)
        times, noisy, target = noised(family, latents, noise, generator)
        expected = (loaded.predict(noisy, times, prompts) - target).square().mean()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_contrast_is_its_formula(loaded, settings, family):
    base, prompts = diffusion.load(settings), loaded.embed([RED, HEARTS])
    adapter(loaded)
    pairs = clean(loaded, 2, 2)
    with torch.no_grad():
        without = partial(lora.detached, loaded.denoiser)
        found = losses.contrast_loss(loaded, pairs, prompts, torch.ones(2), torch.Generator().manual_seed(5), without)
        expected = 0.0
        for side, sign in ((0, 1), (1, -1)):
            generator = torch.Generator().manual_seed(5)
            noise = torch.randn(pairs[:, 0].shape, generator=generator)
            times, noisy, target = noised(family, pairs[:, side], noise, generator)
            before = base.predict(noisy, times, prompts)
            change = loaded.predict(noisy, times, prompts) - before
            assert change.abs().max() > 1e-3
            expected += (before + sign * change - target).square().mean()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_flow_has_no_signal_to_noise_weights(loaded, family):
    weigh = partial(losses.diffusion_loss, loaded, clean(loaded, 1), loaded.embed([RED]))
    if family == "sd35":
        with pytest.raises(ValueError, match=r"this model is a flow\. Leave min_snr out"):
            weigh(torch.Generator(), 5.0)
    else:
        assert weigh(torch.Generator(), 5.0).isfinite()


def test_plain_diffusers_draws_the_same_with_the_lora(expert, settings, folder, family):
    other = plain(folder)
    base = image(other)
    other.load_lora_weights(str(expert))
    model = diffusion.load(settings)
    loading.put(model, expert)
    expected = ours(model)
    assert not np.array_equal(base, expected)
    np.testing.assert_array_equal(image(other), expected)
    layers = lora.read(expert, "colour").down
    assert names.denoiser_of(layers) == DENOISERS[family]


def test_what_is_made_from_a_model_names_its_family(loaded, family):
    if family in ("sd15", "sd21"):
        assert loaded.family is None and loaded.origin == loaded.identity  # the text of the tiny ones has 16 numbers
        loaded.denoiser.register_to_config(cross_attention_dim={"sd15": 768, "sd21": 1024}[family])
    assert loaded.origin["family"] == {"sd15": "sd1", "sd21": "sd2", "sdxl": "sdxl", "sd35": "sd3"}[family]
    assert loaded.origin["revision"] == loaded.identity["revision"]


def test_every_attention_layer_is_adapted(loaded):
    adapted = set(adapter(loaded).down)
    linear = {
        name.removesuffix(".base_layer")
        for name, module in loaded.denoiser.named_modules()
        if isinstance(module, torch.nn.Linear) and ".attn" in name and "lora_" not in name
    }
    assert adapted == linear


def test_the_exported_lora_draws_the_same(expert, folder, family, tmp_path):
    files = export.export(expert, tmp_path / "out")  # alpha is not the rank
    for path in files:  # ComfyUI reads tensors only
        state, metadata = tensors.read(path)
        assert not any(value.item() != 2 for key, value in state.items() if key.endswith(".alpha"))
        tensors.write(state, path, {k: v for k, v in metadata.items() if k != "lora_adapter_metadata"})
    assert len(files) == (1 if family == "sd35" else 2)  # kohya has no names for a transformer
    for path in files:
        pipe, reference = plain(folder), plain(folder)
        reference.load_lora_weights(str(expert))
        pipe.load_lora_weights(str(path.parent), weight_name=path.name)
        difference = np.abs(image(pipe).astype(int) - image(reference).astype(int))
        assert difference.max() <= 1, path


def mixed(model, scope="image"):
    """A mixture of two experts whose gates have moved."""
    experts = [adapter(diffusion.load(model), name, seed) for seed, name in enumerate(("colour", "form"))]
    loaded = diffusion.load(model)
    made = mixture.attach(loaded.denoiser, experts, scope)
    for number, parameter in enumerate(made.parameters()):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return loaded, made


def test_a_mixture_draws_the_same_in_the_pipeline_and_in_ours(settings, tmp_path):
    model, made = mixed(settings)
    mixture_files.save(made, tmp_path / "mixture", model.identity)
    pipe = versat2i.load(tmp_path / "mixture")
    expected = ours(model)
    assert not np.array_equal(expected, ours(diffusion.load(settings)))
    np.testing.assert_array_equal(image(pipe), expected)


def test_gates_that_read_text_leave_its_padding_out(settings, family):
    model, made = mixed(settings)
    prompts = model.embed([RED, HEARTS])
    readers = [layer for module, layer in made.layers.items() if names.reads_text(module)]
    seen = []
    for layer in readers:
        layer.gate.register_forward_pre_hook(lambda gate, args: seen.append((args[0].shape[1], args[1])))
    with torch.no_grad():
        model.predict(clean(model, 2), torch.tensor([10, 900]), prompts)
    assert len(seen) == len(readers) > 0
    for tokens, mask in seen:
        assert tokens == prompts.hidden.shape[1] and torch.equal(mask, prompts.mask)


class Darkness:
    """Mean pixel of an image: the lower the better."""

    name, metric, higher_is_better, range, licence = "darkness", "darkness", False, (0.0, 255.0), "none"

    def score(self, images, prompts):
        return list(images.mean((1, 2, 3)))


STAGES = """
prompts
generate
score aesthetic
score low_level
select aesthetic
select low_level
train_lora aesthetic
train_lora low_level
mix mixture
mix uniform
evaluate base
evaluate aesthetic
evaluate mixture
compare
"""


def test_all_stages_run(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = drawn.settings(settings, ("aesthetic", "low_level")).model_dump()
    variants = ["base", "aesthetic", "mixture"]
    params["rewards"]["low_level"] = {"evaluator": "darkness"}
    params["evaluate"]["variants"] = variants
    monkeypatch.setitem(low_level.EVALUATORS, "darkness", f"{__name__}:Darkness")
    shutil.copy(fingerprint.ROOT / "environment.json", tmp_path)
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(params))
    for name, *arguments in (line.split() for line in STAGES.strip().splitlines()):
        result = CliRunner().invoke(import_module(f"stages.{name}").main, arguments)
        assert result.exit_code == 0, f"{name} {arguments}: {result.output}{result.exception}"
    found = metrics.read_json(places.metrics("evaluate"))
    assert {"base", "aesthetic", "mixture"} <= found.keys()
    assert {"random", "darkness"} <= found["mixture"].keys()


def test_the_noise_of_an_image_comes_from_its_seed_alone(loaded):
    prompts, empty = loaded.embed([RED, HEARTS]), loaded.embed([""])
    seeds = [stable_seed(0, "p0", 0), stable_seed(0, "p1", 0)]
    together = loaded.draw(prompts, empty, seeds, 2, 3.0)
    alone = loaded.draw(prompts[torch.tensor([1])], empty, seeds[1:], 2, 3.0)
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)
