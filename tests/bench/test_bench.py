"""The bench runs at a tiny size, and its full sizes are those of the published models."""

import pytest
import torch
from click.testing import CliRunner

from bench import models, speed

PARAMETERS = {"sd15": 859_520_964, "sdxl": 2_567_463_684}  # of the published denoisers


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_denoiser_has_as_many_parameters_as_the_published_one(name):
    with torch.device("meta"):
        denoiser = models.unet(name, tiny=False)
    assert sum(parameter.numel() for parameter in denoiser.parameters()) == PARAMETERS[name]


def test_text_encoders_and_decoder_have_as_many_parameters_as_the_published_ones():
    tokens = models.tokenizer()
    with torch.device("meta"):
        parts = {
            "first": models._text("first", models.CLIPTextModel, tokens, tiny=False),
            "second": models._text("second", models.CLIPTextModelWithProjection, tokens, tiny=False),
            "vae": models.AutoencoderKL(**models.VAES["sdxl"]),
        }
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    assert counts == {"first": 123_060_480, "second": 694_659_840, "vae": 83_653_863}


def test_the_bench_measures_ours_beside_plain_diffusers(tmp_path):
    out = tmp_path / "table.md"
    words = "--device cpu --size tiny --batch 1 --train-batch 1 --calls 1 --out"
    result = CliRunner().invoke(speed.main, [*words.split(), str(out)])
    assert result.exit_code == 0, result.output
    lines = out.read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    kinds = ["images, plain pipeline", "images", "images, mixture of 4"]
    kinds += ["LoRA samples, plain step", "LoRA samples", "samples of a mixture of 4"]
    assert [row[:3] for row in rows] == [[name, kind, "1"] for name in models.BUILDERS for kind in kinds]
    assert all(float(row[3]) > 0 and row[4] == "-" for row in rows)
    assert lines[0].startswith("tiny size, 2 steps, guidance 5.0, rank 16; ") and "torch 2." in lines[0]
    assert sum("a mixture takes" in line for line in lines) == 2
