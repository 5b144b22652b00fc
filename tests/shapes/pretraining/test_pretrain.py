"""The embedded model is trained from nothing by one command, which can be stopped anywhere."""

import copy
import math
import random

import numpy as np
import pytest
import tiny
import torch
import yaml
from click.testing import CliRunner
from diffusers import AutoencoderTiny, DDPMScheduler, StableDiffusionPipeline

from versat2i.seeds import stable_seed
from versat2i.shapes.pretraining import autoencoder, denoiser, pretrain, scenes
from versat2i.shapes.world import grammar

AUTOENCODER = {"latent_noise": 0.05, "steps": 3, "batch_size": 2, "crop": 32, "learning_rate": 0.002}
DENOISER = {
    "steps": 3,
    "batch_size": 2,
    "learning_rate": 0.01,
    "warmup": 2,
    "decays": [[2, 3]],
    "simple_steps": 2,
    "timestep_exponent": 2,
    "caption_dropout": 0.5,
    "ema": 0.9,
}
CONFIG = copy.deepcopy(tiny.CONFIG) | {"seed": 0, "scenes": {"train": 6}, "checkpoint_every": 1}
CONFIG["autoencoder"] |= AUTOENCODER
CONFIG["denoiser"] |= DENOISER


def captions(amount):
    """The captions of the first scenes, without drawing them."""
    rngs = [random.Random(stable_seed(0, "scene", index)) for index in range(amount)]
    return [grammar.phrase(grammar.sample(rng), rng) for rng in rngs]


@pytest.fixture(scope="module")
def drawings():
    return np.stack([scenes.scene(0, index)[1] for index in range(6)])


@pytest.fixture(scope="module")
def latents():
    return torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(0)).half()


@pytest.fixture(scope="module")
def tokenizer():
    return denoiser.build_tokenizer(CONFIG["tokenizer"], captions(500))


def same(one, other):
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


@pytest.fixture
def stopping(monkeypatch):
    """``stopping(step)``: the run is stopped once that step's checkpoint is there."""

    def stop_at(last):
        save = pretrain.Checkpoint.save

        def saves_and_stops(self, step):
            save(self, step)
            if step == last:
                raise KeyboardInterrupt

        monkeypatch.setattr(pretrain.Checkpoint, "save", saves_and_stops)

    return stop_at


# --------------------------------------------------------------------------- tokenizer


def test_every_word_of_the_grammar_is_one_token(tokenizer):
    for word in [*grammar._WORDS, ","]:
        assert len(tokenizer.tokenize(word)) == 1 and tokenizer.tokenize(word) != [tokenizer.unk_token], word


def test_captions_are_a_token_a_word_between_two_marks_and_fit(tokenizer):
    for text in captions(200):
        words = text.replace(",", " ,").split()
        ids = tokenizer(text).input_ids
        assert len(ids) == len(words) + 2 <= tokenizer.model_max_length
        assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in ids[:-1]


def test_a_tokenizer_built_again_has_the_same_ids(tokenizer, tmp_path):
    again = denoiser.build_tokenizer(CONFIG["tokenizer"], captions(500))
    assert again.get_vocab() == tokenizer.get_vocab()
    again.save_pretrained(tmp_path / "tokenizer")
    kept = pretrain.train_tokenizer(CONFIG, ["words that change nothing"], tmp_path / "tokenizer")
    for text in captions(50):
        assert kept(text).input_ids == again(text).input_ids == tokenizer(text).input_ids
    assert {"red", "circles", ","} <= set(kept.init_kwargs["closed_vocabulary"])


# --------------------------------------------------------------------------- autoencoder


def test_crops_pick_the_contrast():
    """Flat images with two bright pixels: of the four places tried, one that shows most of them is taken."""
    images = np.zeros((200, 16, 16, 3), np.uint8)
    images[:, [3, 9], [3, 9]] = 255
    cropped = autoencoder.crops(images, 8, torch.Generator().manual_seed(0))
    assert cropped.shape == (200, 8, 8, 3)
    places = torch.randint(9, (200, 4, 2), generator=torch.Generator().manual_seed(0))
    shown = (places <= 3).all(-1).int() + (places >= 2).all(-1).int()  # a crop from y to y + 7
    most = shown.max(1).values
    assert set(most.tolist()) == {0, 1, 2}
    assert ((cropped == 255).sum((1, 2, 3)) == 3 * most.numpy()).all()


def test_a_crop_of_the_whole_image_is_the_image(drawings):
    np.testing.assert_array_equal(autoencoder.crops(drawings, 64, torch.Generator().manual_seed(0)), drawings)


def test_pixels_go_to_minus_one_to_one():
    image = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    torch.testing.assert_close(autoencoder.to_tensor(image).flatten(), torch.tensor([-1.0, -0.6, 1.0]))


def test_psnr_of_a_known_error(drawings):
    """An autoencoder that gives back zeros has the mean square of the pixels as its error."""

    class Gray(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def encode(self, images):
            return type("Encoded", (), {"latents": images})

        def decode(self, latents):
            return type("Decoded", (), {"sample": 0 * latents})

    pixels = drawings.astype(np.float64) / 127.5 - 1
    assert autoencoder.psnr(Gray(), drawings) == pytest.approx(10 * math.log10(4 / np.square(pixels).mean()), abs=1e-3)


def test_the_autoencoder_halves_the_image_twice(drawings):
    model = autoencoder.build(CONFIG["autoencoder"])
    found = autoencoder.encode(model, drawings, batch_size=4)
    assert found.shape == (6, 4, 16, 16) and found.dtype == torch.float16
    single = autoencoder.encode(model, drawings[4:5])
    torch.testing.assert_close(found[4:5], single, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("last", [1, 3])
def test_a_stopped_autoencoder_ends_as_an_unbroken_one(drawings, tmp_path, stopping, monkeypatch, last):
    unbroken = pretrain.train_autoencoder(CONFIG, drawings, tmp_path / "a", "cpu")
    stopping(last)
    with pytest.raises(KeyboardInterrupt):
        pretrain.train_autoencoder(CONFIG, drawings, tmp_path / "b", "cpu")
    monkeypatch.undo()
    torch.rand(1)
    assert same(pretrain.train_autoencoder(CONFIG, drawings, tmp_path / "b", "cpu"), unbroken)


# --------------------------------------------------------------------------- denoiser


@pytest.mark.parametrize("last", [1, 3])
def test_a_stopped_denoiser_ends_as_an_unbroken_one(latents, tmp_path, stopping, monkeypatch, last):
    texts = captions(6)
    tokens, unbroken = pretrain.train_denoiser(CONFIG, latents, texts, tmp_path / "a", "cpu")
    stopping(last)
    with pytest.raises(KeyboardInterrupt):
        pretrain.train_denoiser(CONFIG, latents, texts, tmp_path / "b", "cpu")
    monkeypatch.undo()
    torch.rand(1)
    again, resumed = pretrain.train_denoiser(CONFIG, latents, texts, tmp_path / "b", "cpu")
    assert same(resumed, unbroken) and again.get_vocab() == tokens.get_vocab()


def test_the_average_is_kept_and_not_the_last_weights(latents, tmp_path):
    """After one step the decay is 1/10: the average is a tenth start, nine tenths trained."""
    config = CONFIG | {"denoiser": CONFIG["denoiser"] | {"steps": 1}}
    _, average = pretrain.train_denoiser(config, latents, captions(6), tmp_path, "cpu")
    trained = torch.load(tmp_path / "denoiser.pt", weights_only=True)["model"]
    torch.manual_seed(config["seed"])
    text_encoder = denoiser.build_text_encoder(config["text_encoder"], average_tokenizer(tmp_path))
    start = denoiser.Generator(text_encoder, denoiser.build_unet(config["denoiser"], 16, 4)).state_dict()
    for name, value in average.named_parameters():
        torch.testing.assert_close(value, 0.1 * start[name] + 0.9 * trained[name])


def average_tokenizer(folder):
    return pretrain.train_tokenizer(CONFIG, [], folder / "tokenizer")


def test_the_learning_rate_warms_up_stays_and_falls_in_each_span():
    config = {"learning_rate": 2.0, "warmup": 4, "decays": [[20, 40], [80, 100]]}
    rates = [denoiser.learning_rate(step, config) for step in (0, 1, 3, 4, 20, 30, 40, 79, 90)]
    assert rates == pytest.approx([0.5, 1.0, 2.0, 2.0, 2.0, 1.0, 2.0, 2.0, 1.0])
    assert denoiser.learning_rate(99, config) == pytest.approx(0, abs=0.02)


def test_the_schedule_ends_in_pure_noise():
    scheduler = denoiser.build_scheduler()
    assert scheduler.config.prediction_type == "v_prediction"
    assert DDPMScheduler.from_config(scheduler.config).alphas_cumprod[-1] == 0


def test_the_velocity_loss_of_a_perfect_model_is_zero():
    """The model that knows the clean latents: v = (alpha z_t - z) / sigma."""
    scheduler = DDPMScheduler.from_config(denoiser.build_scheduler().config)
    clean = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))

    def perfect(noisy, timesteps, tokens):
        bar = scheduler.alphas_cumprod.double()[timesteps][:, None, None, None]
        return ((bar.sqrt() * noisy - clean) / (1 - bar).sqrt()).float()

    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    value = denoiser.velocity_loss(perfect, clean, noise, torch.tensor([0, 500, 998]), None, scheduler)
    assert value.item() == pytest.approx(0, abs=1e-6)


def test_the_density_of_timesteps_grows_with_their_noise():
    """With exponent 2, P(t < T x) = x^2."""
    drawn = denoiser.draw_timesteps(20_000, 1000, 2.0, torch.Generator().manual_seed(0))
    assert drawn.min() >= 0 and drawn.max() == 999
    for share in (0.25, 0.5, 0.75):
        assert (drawn < 1000 * share).double().mean() == pytest.approx(share**2, abs=0.015)  # 4 standard errors


def drawn_scenes(amount):
    """Scene i has the latents i and the caption i + 1; every third one is simple."""
    rows = torch.arange(amount)
    latents = rows.half()[:, None, None, None].expand(-1, 4, 16, 16)
    return denoiser.Scenes(latents, rows[:, None] + 1, rows[::3], torch.tensor([0]))


def test_a_batch_keeps_captions_with_their_latents():
    latents, tokens = drawn_scenes(30).batch(200, 0.5, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(latents[:, 0, 0, 0] + 1, tokens[:, 0].float()) and latents.dtype == torch.float32


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0.23, 0.44), (1.0, 1.0, 1.0)])
def test_the_share_of_simple_scenes_is_as_asked(share, least, most):
    latents, _ = drawn_scenes(30).batch(300, share, 0.0, torch.Generator().manual_seed(0))
    assert least <= (latents[:, 0, 0, 0] % 3 == 0).double().mean() <= most


def test_dropped_captions_are_empty_and_do_not_touch_the_stock():
    scenes = drawn_scenes(30)
    _, tokens = scenes.batch(400, 0.0, 0.25, torch.Generator().manual_seed(0))
    assert (tokens == 0).double().mean() == pytest.approx(0.25, abs=0.09)
    assert torch.equal(scenes.tokens[:, 0], torch.arange(30) + 1)


def test_words_stay_apart_in_an_untrained_text_encoder(tmp_path):
    """What CLIP's own initialisation fails at: the token must not drown in the layers' output."""
    tokenizer = denoiser.build_tokenizer({"vocab_size": 400, "max_length": 24}, captions(300))
    torch.manual_seed(0)
    encoder = denoiser.build_text_encoder({"hidden": 128, "layers": 3, "heads": 4}, tokenizer).eval()
    tokens = denoiser.tokenize(tokenizer, ["a red circle on a navy background", "a blue circle on a navy background"])
    with torch.no_grad():
        red, blue = encoder(tokens)[0]
    assert (red[2] - blue[2]).norm() > 0.9 * red[2].norm()


# --------------------------------------------------------------------------- scenes and the whole


def test_scenes_are_drawn_once_and_depend_on_their_number_alone(tmp_path, monkeypatch):
    texts, images = scenes.cached(0, 3, 1, tmp_path)
    assert images.shape == (3, 64, 64, 3) and texts == captions(3)
    for index in range(3):
        np.testing.assert_array_equal(images[index], scenes.scene(0, index)[1])
    monkeypatch.setattr(scenes, "draw", None)
    again, kept = scenes.cached(0, 3, 1, tmp_path)
    assert again == texts and np.array_equal(kept, images)


def test_no_training_scene_names_a_held_out_combination():
    assert not any(grammar.parse(text).held_out for text in captions(300))


def test_one_command_trains_a_model_that_plain_diffusers_loads(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    work, out = tmp_path / "work", tmp_path / "model"
    command = ["--config", str(config), "--work", str(work), "--out", str(out), "--workers", "1"]
    result = CliRunner().invoke(pretrain.main, command, catch_exceptions=False)
    assert result.exit_code == 0 and f"wrote {out}" in result.output

    pipe = StableDiffusionPipeline.from_pretrained(out)
    parts = {"unet": pipe.unet, "vae": pipe.vae, "text_encoder": pipe.text_encoder}
    assert {name: part.dtype for name, part in parts.items()} == dict.fromkeys(parts, torch.float32)
    trained = torch.load(work / "denoiser.pt", weights_only=True)["average"]
    for name in ("unet", "text_encoder"):
        for key, value in parts[name].state_dict().items():
            torch.testing.assert_close(value, trained[f"{name}.{key}"].half().float(), atol=0, rtol=0)
    image = pipe(captions(1)[0], num_inference_steps=1, generator=torch.Generator().manual_seed(0)).images[0]
    assert image.size == (64, 64)
    AutoencoderTiny.from_pretrained(out / "vae")  # its own loader knows every key
    assert (
        out.joinpath("unet", "diffusion_pytorch_model.safetensors").stat().st_size
        < 2.2 * sum(parameter.numel() for parameter in pipe.unet.parameters()) + 200_000
    )

    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    CliRunner().invoke(pretrain.main, command, catch_exceptions=False)
    after = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert before == after
