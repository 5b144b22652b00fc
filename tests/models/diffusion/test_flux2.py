"""What FLUX.2 alone needs: texts in a chat, squares normalised by the decoder's statistics, distilled or not."""

import pytest
import tiny_flows
import torch

from versat2i.models.diffusion import flux2


@pytest.mark.parametrize("name", ["klein", "flux2"])
def test_the_mask_is_the_one_that_the_text_encoder_is_told(flow, name):
    model, told = flow(name), []
    model.pipe.text_encoder.register_forward_pre_hook(
        lambda module, args, kwargs: told.append(kwargs["attention_mask"].bool()), with_kwargs=True
    )
    found = model.embed(["a red circle", ""])
    assert torch.equal(found.mask, told[0]) and 0 < found.mask.sum() < found.mask.numel()


def test_latents_are_stored_as_the_denoiser_sees_them(flow):
    """Its 4 channels in squares, of unit scale; the pipeline of klein returns them scaled back."""
    model = flow("klein")
    assert model.latent_shape(32) == (16, 8, 8) and model.pixels(torch.Size([16, 8, 8])) == 32
    vae = model.pipe.vae
    zero = model._unscaled(torch.zeros(1, 16, 8, 8))
    torch.testing.assert_close(zero[0, :, 0, 0], vae.bn.running_mean.view(4, 4)[:, 0])


def test_times_are_shifted_by_size_and_steps(flow):
    """mu of FLUX.2 at 4,096 tokens and 50 steps: on the line from 2.256 at 10 to 1.150 at 200 steps."""
    assert flow("klein")._shift(4096) == pytest.approx(2.256 + (1.150 - 2.256) * 40 / 190, abs=2e-3)


def test_a_distilled_klein_has_no_guidance(tmp_path):
    pipe = tiny_flows.klein(distilled=True)
    model = flux2.Klein(pipe, {})
    assert not model.guided
    with pytest.raises(ValueError, match=r"this Flux2KleinPipeline was distilled to need none\. Set it to 1"):
        model.draw(model.embed(["a"]), model.embed([""]), [0], 1, 4.0, 32)


def test_dev_is_told_its_guidance(flow):
    assert flow("flux2")._guidance(2).tolist() == [4.0, 4.0] and flow("klein")._guidance(2) is None
    assert flow("flux2").passes == 1 and flow("klein").passes == 2
