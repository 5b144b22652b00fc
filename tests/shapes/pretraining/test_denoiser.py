"""Tokens, rate, schedule, loss and batches of the denoiser."""

import pytest
import torch
from diffusers import DDPMScheduler
from small_world import CONFIG, captions

from versat2i.shapes.pretraining import denoiser, pretrain
from versat2i.shapes.world import grammar


@pytest.fixture(scope="module")
def tokenizer():
    return denoiser.build_tokenizer(CONFIG["tokenizer"], captions(500))


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
    return denoiser.Scenes(latents, rows[:, None] + 1, rows[::3], torch.tensor([0]), -latents)


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
