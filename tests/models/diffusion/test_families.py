"""Every family draws what plain diffusers draws, trains by its own formula, and goes through all stages."""

import inspect
import math
import re
import shutil
from functools import partial
from importlib import import_module
from statistics import NormalDist

import drawn
import numpy as np
import pytest
import tiny_families
import tiny_flows
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
UNETS = ("sd15", "sd21", "sdxl")
SIZE = 32  # pixels, of what a flow draws here
CALLED = {  # what an exported adapter calls the family
    **{"sd15": "sd1", "sd21": "sd2", "sdxl": "sdxl", "sd35": "sd3"},
    **{"z_image": "z_image", "qwen_image": "qwen_image", "flux": "flux1", "schnell": "flux1", "klein": "flux2"},
    **{"flux2": "flux2", "chroma": "chroma", "sana": "sana", "lumina2": "lumina2", "krea2": "krea2"},
}


@pytest.fixture(scope="module", params=tiny_flows.ALL)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return tiny_flows.folder(family, tmp_path_factory.mktemp("family") / family)


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


def kind(pipe):
    """The name of a pipeline's class, which says how it is called."""
    return type(pipe).__name__


def size(pipe):
    return None if kind(pipe).startswith("StableDiffusion") else SIZE


def possible(pipe, scale):
    """The guidance scale, or none for a model that has none."""
    return 1.0 if kind(pipe) == "FluxPipeline" and not pipe.transformer.config.guidance_embeds else scale


def told(pipe, scale):
    """The arguments of a plain pipeline that draws at this guidance scale, 1 being none."""
    scale = possible(pipe, scale)
    shape = {} if size(pipe) is None else {"height": SIZE, "width": SIZE}
    if kind(pipe) in ("ZImagePipeline", "Krea2Pipeline"):  # prompts + s (prompts - empty)
        return shape | {"guidance_scale": scale - 1}
    if kind(pipe) == "QwenImagePipeline":
        return shape | {"true_cfg_scale": scale} | ({"negative_prompt": " "} if scale > 1 else {})
    if kind(pipe) == "SanaPipeline":  # no binning: images of the size asked for
        return shape | {"guidance_scale": scale, "use_resolution_binning": False}
    return shape | {"guidance_scale": scale}


def image(pipe, guidance_scale=3.0, text=RED, **options):
    generator = torch.Generator().manual_seed(7)
    asked = told(pipe, guidance_scale) | options
    return np.asarray(pipe(prompt=text, generator=generator, num_inference_steps=2, **asked).images[0])


def drawn_latents(model, texts, seeds, guidance_scale, steps=2):
    scale = possible(model.pipe, guidance_scale)
    return model.draw(model.embed(texts), model.embed([""]), seeds, steps, scale, size(model.pipe))


def ours(model, guidance_scale=3.0, text=RED):
    return model.decode(drawn_latents(model, [text], [7], guidance_scale))[0]


def adapter(model, name="colour", seed=0):
    """A LoRA on the model's attention whose weights have all been moved."""
    for number, parameter in enumerate(lora.attach(model.denoiser, name, 2, 3.0, "attention", seed)):
        torch.nn.init.normal_(parameter, 0, 0.3, torch.Generator().manual_seed(seed + number))
    return lora.extract(model.denoiser, name, 3.0, model.origin)


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


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_latents_are_those_of_the_plain_pipeline_for_the_same_seeds_and_batch(loaded, folder, guidance_scale):
    other = plain(folder)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    asked = told(other, guidance_scale)
    if "negative_prompt" in asked:
        asked["negative_prompt"] = [asked["negative_prompt"]] * 2
    options = {"generator": generators, "num_inference_steps": 2, "output_type": "latent"}
    expected = other(prompt=[RED, HEARTS], **options, **asked).images
    found = drawn_latents(loaded, [RED, HEARTS], [1, 2], guidance_scale)
    assert found.std() > 0.5
    if kind(other) == "Flux2KleinPipeline":  # which returns its latents as the decoder takes them
        found = loaded._unscaled(found)
    elif expected.shape != found.shape:  # as tokens
        expected = loaded._stored(expected, SIZE)
    rounding = (
        2e-6 if kind(other) != "StableDiffusionXLPipeline" else 1e-4
    )  # whose noise starts at 14 times the latents
    torch.testing.assert_close(found, expected, atol=rounding, rtol=1e-6)


def arguments(module, args, kwargs):
    """Noisy latents, as the denoiser is told them, and the scheduler's time."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    if "x" in bound:  # Z-Image: a list, and time that runs from noise at 0 to 1
        return torch.stack(bound["x"])[:, :, 0], 1000 - 1000 * bound["t"]
    noisy = bound.get("hidden_states", bound.get("sample"))
    time = bound["timestep"]
    name = type(module).__name__
    if name == "Lumina2Transformer2DModel":
        return noisy, 1000 - 1000 * time
    told_in_thousands = name.startswith(("UNet", "SD3", "Sana"))
    return noisy, time if told_in_thousands else 1000 * time


def test_the_prediction_is_what_the_denoiser_says_within_the_pipeline(loaded):
    """With all that a family tells its denoiser besides noisy latents, timestep and text."""
    seen = []
    hook = loaded.denoiser.register_forward_hook(
        lambda module, args, kwargs, out: seen.append((*arguments(module, args, kwargs), out[0])), with_kwargs=True
    )
    # a denoiser that is told its guidance is told the pipeline's own in training
    drawn_latents(loaded, [RED, HEARTS], [1, 2], {"FluxPipeline": 3.5, "Flux2Pipeline": 4.0}.get(kind(loaded.pipe), 1))
    hook.remove()
    noisy, times, out = seen[0]
    backwards = {"ZImagePipeline": lambda x: -torch.stack(x)[:, :, 0], "Lumina2Pipeline": lambda x: -x}
    out = backwards.get(kind(loaded.pipe), lambda x: x)(out)
    if noisy.ndim == 3:  # tokens
        noisy, out = loaded._stored(noisy, SIZE), loaded._stored(out, SIZE)
    with torch.no_grad():
        found = loaded.predict(noisy, times.expand(2), loaded.embed([RED, HEARTS]))
    torch.testing.assert_close(found, out, atol=1e-6, rtol=1e-5)


def test_embeddings_do_not_depend_on_the_batch_that_they_are_made_in(loaded):
    texts = [RED, "", HEARTS]
    whole, single = loaded.embed(texts), loaded.embed(texts, batch_size=1)
    torch.testing.assert_close(whole.hidden, single.hidden)
    torch.testing.assert_close(whole.pooled, single.pooled)
    assert torch.equal(whole.mask, single.mask) and whole.mask.shape == whole.hidden.shape[:2]


def test_a_dropped_caption_is_the_empty_prompt(loaded):
    prompts, empty = loaded.embed([RED, HEARTS]), loaded.embed([""])
    found = prompts.replaced(torch.tensor([False, True]), empty)
    expected = loaded.embed([RED, ""]).lengthened(found.mask.shape[1])
    torch.testing.assert_close(found.hidden, expected.hidden)
    torch.testing.assert_close(found.pooled, expected.pooled)
    assert torch.equal(found.mask, expected.mask)
    assert torch.equal(prompts.mask, loaded.embed([RED, HEARTS]).mask)  # the originals stay


def alpha_bars():
    """Cumulative alphas of Stable Diffusion's schedule."""
    return (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).cumprod(0)[:, None, None, None]


STATIC = {"sd35": 3.0, "z_image": 3.0, "schnell": 1.0, "sana": 3.0, "lumina2": 6.0}
LINES = {  # tokens and shift at two sizes; by pipeline or scheduler
    **dict.fromkeys(("flux", "chroma"), ((256, 0.5), (4096, 1.15))),
    "qwen_image": ((256, 0.5), (8192, 0.9)),
    "krea2": ((256, 0.5), (6400, 1.15)),
}
TERMINAL = {"qwen_image": 0.02}  # where the times of its scheduler end


def shift_of(family, tokens):
    """The factor of the times' odds."""
    if family in STATIC:
        return STATIC[family]
    if family in ("klein", "flux2"):  # of FLUX.2, at 50 steps: a line between those at 10 and 200
        few, many = 8.73809524e-05 * tokens + 1.89833333, 0.00016927 * tokens + 0.45666666
        return math.exp(few + (many - few) * 40 / 190)
    (low, least), (high, most) = LINES[family]
    return math.exp(least + (most - least) * (tokens - low) / (high - low))


def flow_time(family, unshifted, tokens):
    """Shifted as the model's own pipeline shifts it (Esser et al. 2024, eq. 23)."""
    shift = shift_of(family, tokens)

    def shifted(time):
        return shift * time / (1 + (shift - 1) * time)

    if family not in TERMINAL:
        return shifted(unshifted)
    return 1 - (1 - shifted(unshifted)) * (1 - TERMINAL[family]) / (1 - shifted(1 / 1000))


def noised(family, latents, noise, generator):
    """Timesteps, one from each equal part of the schedule, noisy latents and target by definition."""
    amount = len(latents)
    quantiles = (torch.arange(amount) + torch.rand(amount, generator=generator)) / amount
    if family not in UNETS:
        normal = torch.tensor([NormalDist().inv_cdf(1 - q) for q in quantiles.tolist()])
        unshifted = 1 - (normal.sigmoid() * 1000).floor() / 1000  # the scheduler's times fall from 1 to 1/1000
        squares = 1 if family in ("klein", "flux2") else 4  # latents in a token
        sigma = flow_time(family, unshifted, latents.shape[-1] * latents.shape[-2] / squares)
        part = sigma[:, None, None, None]
        return 1000 * sigma, (1 - part) * latents + part * noise, noise - latents
    times = (quantiles * 1000).long()
    alpha, sigma = alpha_bars()[times].sqrt(), (1 - alpha_bars()[times]).sqrt()
    target = alpha * noise - sigma * latents if family == "sd21" else noise
    return times, alpha * latents + sigma * noise, target


def clean(model, *shape):
    return torch.randn(*shape, *model.latent_shape(size(model.pipe)), generator=torch.Generator().manual_seed(1))


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
    if family not in UNETS:
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
    assert names.denoiser_of(layers) == ("unet" if family in UNETS else "transformer")


def test_what_is_made_from_a_model_names_its_family(loaded, family):
    if family in ("sd15", "sd21"):
        assert loaded.family is None and loaded.origin == loaded.identity  # the text of the tiny ones has 16 numbers
        loaded.denoiser.register_to_config(cross_attention_dim={"sd15": 768, "sd21": 1024}[family])
    assert loaded.origin["family"] == CALLED[family]
    assert loaded.origin["revision"] == loaded.identity["revision"]


def test_every_attention_layer_is_adapted(loaded):
    adapted = set(adapter(loaded).down)
    linear = {
        name.removesuffix(".base_layer")
        for name, module in loaded.denoiser.named_modules()
        if isinstance(module, torch.nn.Linear)
        and re.search(r"\.attn?\d?\.|\.attention\.", name)
        and "lora_" not in name
        if not name.startswith("text_fusion")  # Krea 2's, of its text alone
    }
    assert adapted == linear


def test_the_exported_lora_draws_the_same(expert, folder, family, tmp_path):
    files = export.export(expert, tmp_path / "out")  # alpha is not the rank
    for path in files:  # ComfyUI reads tensors only
        state, metadata = tensors.read(path)
        for key in (key for key in state if key.endswith(".alpha")):  # the rank: nothing is scaled
            assert state[key].item() == len(state[key.removesuffix("alpha") + "lora_down.weight"])
        tensors.write(state, path, {k: v for k, v in metadata.items() if k != "lora_adapter_metadata"})
    assert len(files) == (1 if family == "sana" else 2)  # kohya's names, or ComfyUI's for a transformer
    loads = (*UNETS, "z_image", "qwen_image")  # of the others diffusers reads some of ComfyUI's names, not all
    for path in files if family in loads else files[:1]:
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


def test_a_mixture_collapsed_and_exported_draws_the_same_in_plain_diffusers(settings, folder, tmp_path):
    """Exact for gates of a layer: they weigh the experts alike whatever the input."""
    model, made = mixed(settings, "layer")
    mixture_files.save(made, tmp_path / "mixture", model.identity)
    files = export.export(tmp_path / "mixture", tmp_path / "out")
    pipe = plain(folder)
    pipe.load_lora_weights(str(files[0].parent), weight_name=files[0].name)
    difference = np.abs(image(pipe).astype(int) - ours(model).astype(int))
    assert difference.max() <= 1


def reads_both(module):
    """Whether a layer reads text and image in one sequence: single-stream blocks, and all of Krea 2's."""
    own = r"transformer_blocks\.\d+\.attn\.to_([qkv]|gate|out\.0)$"  # elsewhere they read the image alone
    return module.startswith(("single_transformer_blocks.", "layers.")) or re.match(own, module) is not None


def test_gates_that_read_text_leave_its_padding_out(settings):
    """Their mask has the text's tokens, and those of the image where a layer reads both in one sequence."""
    model, made = mixed(settings)
    prompts, latents = model.embed([RED, HEARTS]), clean(model, 2)
    text = prompts.mask.sum(1)
    image = latents.shape[-1] * latents.shape[-2] // (1 if kind(model.pipe).startswith("Flux2") else 4)
    readers = {m: layer for m, layer in made.layers.items() if names.of(model.denoiser).layout(m)}
    seen = {}
    for name, layer in readers.items():
        layer.gate.register_forward_pre_hook(partial(lambda name, gate, args: seen.update({name: args}), name))
    with torch.no_grad():
        model.predict(latents, torch.tensor([10, 900]), prompts)
    assert seen.keys() == readers.keys() and seen
    for name, (tokens, mask) in seen.items():
        assert mask.shape == tokens.shape[:2]
        assert mask.sum(1).tolist() == (text + image * reads_both(name)).tolist(), name


TOGETHER = {  # the texts of a step with guidance in one call, in their order; else a call each, prompts first
    **{name: ["", RED] for name in ("sd15", "sd21", "sdxl", "sd35", "sana")},
    "z_image": [RED, ""],
    "flux": [RED],
    "schnell": [RED],
    "flux2": [RED],
}


def test_in_each_call_of_a_guided_step_gates_know_the_texts_of_that_call(settings, tmp_path, family):
    """Drawn by us, and by the pipeline that `versat2i.load` gives."""
    model, made = mixed(settings)
    mixture_files.save(made, tmp_path / "mixture", model.identity)
    pipe = versat2i.load(tmp_path / "mixture")
    readers = [module for module in made.layers if names.of(model.denoiser).layout(module)]
    reader = min(readers, key=reads_both)
    image_tokens = reads_both(reader) * model._tokens(clean(model, 1).shape)
    length = {text: int(model.embed([text]).mask.sum()) for text in (RED, "")}
    calls = [[length[text] for text in TOGETHER[family]]] if family in TOGETHER else [[length[RED]], [length[""]]]
    for denoiser, draw in (
        (model.denoiser, lambda: drawn_latents(model, [RED], [7], 3.0)),
        (getattr(pipe, model.denoiser_name), lambda: image(pipe)),
    ):
        seen = []
        gate = denoiser.get_submodule(reader).gate
        gate.register_forward_pre_hook(lambda gate, args, seen=seen: seen.append((args[0], args[1])))
        draw()
        found = [[x.shape[1]] * len(x) if mask is None else mask.sum(1).tolist() for x, mask in seen]
        assert [[count - image_tokens for count in counts] for counts in found] == 2 * calls  # steps


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


def run_stages(settings, family, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = drawn.settings(settings, ("aesthetic", "low_level")).model_dump()
    if family in tiny_flows.FAMILIES:
        for section in ("generate", "evaluate"):
            params[section] |= {"size": SIZE, "steps": 2}
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


# One of each way to hold latents and to be guided; the others go through the same code.
FAST = (*tiny_families.FAMILIES, "z_image", "qwen_image", "flux", "klein")


@pytest.mark.parametrize("family", FAST, scope="module")
def test_all_stages_run(family, settings, tmp_path, monkeypatch):
    run_stages(settings, family, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(tiny_flows.FAMILIES.keys() - set(FAST)), scope="module")
def test_all_stages_run_of_the_other_families(family, settings, tmp_path, monkeypatch):
    run_stages(settings, family, tmp_path, monkeypatch)


def test_the_noise_of_an_image_comes_from_its_seed_alone(loaded):
    seeds = [stable_seed(0, "p0", 0), stable_seed(0, "p1", 0)]
    together = drawn_latents(loaded, [RED, HEARTS], seeds, 3.0)
    alone = drawn_latents(loaded, [HEARTS], seeds[1:], 3.0)
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)
