"""The embedded model is trained from nothing by one command, which can be stopped anywhere."""

import copy

import pytest
import torch
import yaml
from click.testing import CliRunner
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from small_world import CONFIG, captions

from versat2i.shapes.pretraining import autoencoder, denoiser, pretrain


@pytest.fixture(scope="module")
def latents():
    return torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(0)).half()


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


@pytest.mark.parametrize("last", [1, 3])
def test_a_stopped_autoencoder_ends_as_an_unbroken_one(drawings, tmp_path, stopping, monkeypatch, last):
    unbroken = pretrain.train_autoencoder(CONFIG, drawings, tmp_path / "a", "cpu")
    stopping(last)
    with pytest.raises(KeyboardInterrupt):
        pretrain.train_autoencoder(CONFIG, drawings, tmp_path / "b", "cpu")
    monkeypatch.undo()
    torch.rand(1)
    assert same(pretrain.train_autoencoder(CONFIG, drawings, tmp_path / "b", "cpu"), unbroken)


def test_a_decoder_that_is_trained_on_leaves_the_latents_as_they_were(drawings, tmp_path, stopping, monkeypatch):
    vae = pretrain.train_autoencoder(CONFIG, drawings, tmp_path, "cpu")
    before, latents = copy.deepcopy(vae), autoencoder.encode(vae, drawings)
    unbroken = pretrain.train_decoder(CONFIG, copy.deepcopy(vae), drawings, tmp_path / "a", "cpu")
    assert torch.equal(autoencoder.encode(unbroken, drawings), latents)
    assert same(unbroken.encoder, before.encoder) and not same(unbroken.decoder, before.decoder)
    stopping(1)
    with pytest.raises(KeyboardInterrupt):
        pretrain.train_decoder(CONFIG, copy.deepcopy(vae), drawings, tmp_path / "b", "cpu")
    monkeypatch.undo()
    assert same(pretrain.train_decoder(CONFIG, copy.deepcopy(vae), drawings, tmp_path / "b", "cpu"), unbroken)


@pytest.mark.parametrize("last", [1, 3])
def test_a_stopped_denoiser_ends_as_an_unbroken_one(latents, tmp_path, stopping, monkeypatch, last):
    texts = captions(6)
    tokens, unbroken = pretrain.train_denoiser(CONFIG, latents, -latents, texts, tmp_path / "a", "cpu")
    stopping(last)
    with pytest.raises(KeyboardInterrupt):
        pretrain.train_denoiser(CONFIG, latents, -latents, texts, tmp_path / "b", "cpu")
    monkeypatch.undo()
    torch.rand(1)
    again, resumed = pretrain.train_denoiser(CONFIG, latents, -latents, texts, tmp_path / "b", "cpu")
    assert same(resumed, unbroken) and again.get_vocab() == tokens.get_vocab()


def test_the_average_is_kept_and_not_the_last_weights(latents, tmp_path):
    """After one step the decay is 1/10: the average is a tenth start, nine tenths trained."""
    config = CONFIG | {"denoiser": CONFIG["denoiser"] | {"steps": 1}}
    _, average = pretrain.train_denoiser(config, latents, -latents, captions(6), tmp_path, "cpu")
    trained = torch.load(tmp_path / "denoiser.pt", weights_only=True)["model"]
    torch.manual_seed(config["seed"])
    text_encoder = denoiser.build_text_encoder(config["text_encoder"], average_tokenizer(tmp_path))
    start = denoiser.Generator(text_encoder, denoiser.build_unet(config["denoiser"], 16, 4)).state_dict()
    for name, value in average.named_parameters():
        torch.testing.assert_close(value, 0.1 * start[name] + 0.9 * trained[name])


def test_steps_of_the_clean_span_alone_see_clean_scenes(latents, monkeypatch, tmp_path):
    seen = []
    loss = denoiser.velocity_loss
    monkeypatch.setattr(denoiser, "velocity_loss", lambda model, z, *rest: seen.append(z) or loss(model, z, *rest))
    pretrain.train_denoiser(CONFIG, latents.abs(), -latents.abs(), captions(6), tmp_path, "cpu")
    assert [bool((z < 0).any()) for z in seen] == [False, True, False]  # `clean: [1, 2]` of three steps


def average_tokenizer(folder):
    return pretrain.train_tokenizer(CONFIG, [], folder / "tokenizer")


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
