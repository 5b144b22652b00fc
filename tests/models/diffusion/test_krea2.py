"""What Krea 2 alone needs: several layers a token, a scale that starts at 0, the fixed shift of Turbo."""

from versat2i.models.diffusion import krea2


def test_each_token_has_several_layers(flow):
    found = flow("krea2").embed(["a red circle", ""])
    assert found.hidden.shape[2:] == (3, 16) and found.mask.shape == found.hidden.shape[:2]


def test_no_guidance_is_the_pipelines_zero():
    assert krea2.Krea2.scale(1.0) == {"guidance_scale": 0.0}


def test_turbos_times_are_shifted_alike_at_every_size(flow):
    model = flow("krea2")
    assert model._shift(256) == 0.5 and model._shift(6400) == 1.15
    model.pipe.register_to_config(is_distilled=True)
    assert model._shift(256) == model._shift(6400) == 1.15 and model.distilled
