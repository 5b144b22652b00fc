"""The mixture computes what its formula says, learns only its gates, and survives saving."""

import math

import pytest
import tiny
import torch
from mixed import SCOPES, TEXT_K, Q, attach, inputs, run

from versat2i.adapters import merges, mixture
from versat2i.adapters.gated_layer import Mixed


def load_plain(adapter):
    """A tiny denoiser with an ordinary LoRA, loaded by diffusers."""
    model = tiny.unet()
    state = {f"{module}.lora_A.weight": weight for module, weight in adapter.down.items()}
    state |= {f"{module}.lora_B.weight": weight for module, weight in adapter.up.items()}
    model.load_lora_adapter(state, prefix=None)
    return model


def test_convolution_with_a_stride_is_refused():
    model = tiny.unet()
    strided = "down_blocks.0.downsamplers.0.conv"
    expert = tiny.adapter(model, "geometry", targets=("conv",), parts=("downsamplers",))
    assert strided in expert.down
    with pytest.raises(ValueError, match=r"downsamplers.0.conv' of this .* has stride \(2, 2\)"):
        mixture.attach(model, [expert], "token")


@pytest.mark.parametrize("scope", SCOPES)
def test_untrained_mixture_is_the_average_of_the_experts(scope):
    model, mixed = attach(scope)
    plain = load_plain(merges.uniform(mixed.adapters))
    torch.testing.assert_close(run(model), run(plain), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(run(model), run(tiny.unet()))


def test_image_scope_ignores_padded_text():
    model, mixed = attach("image", spread=0.5)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]).bool()
    latents, time, text = inputs()
    layer, other = mixed.layers[TEXT_K], text.clone()
    other[~mask] = 7.0
    with mixed.masking(mask):
        assert torch.equal(layer.gate(text, layer.mask), layer.gate(other, layer.mask))
        assert mixed.layers[Q].mask is None
        masked = run(model, latents, time, text)
    assert layer.mask is None
    assert not torch.equal(run(model, latents, time, text), masked)
    short = layer.gate(text[1:, :2])
    torch.testing.assert_close(layer.gate(text, mask)[1:], short)


def test_mask_of_another_batch_is_refused():
    model, mixed = attach("image")
    with mixed.masking(torch.ones(1, 6).bool()), pytest.raises(ValueError, match="with guidance those of the empty"):
        run(model)


@pytest.mark.parametrize("scope", SCOPES)
def test_balance_loss_is_minus_log_of_the_product_of_the_mean_gates(scope):
    model, mixed = attach(scope, spread=0.5)
    model.train()
    seen = []
    for layer in mixed.layers.values():
        layer.gate.register_forward_hook(lambda gate, args, output: seen.append(output.reshape(-1, 3).mean(0)))
    model(*inputs())
    q = torch.stack(seen).mean(0)
    loss = mixed.balance_loss()
    torch.testing.assert_close(loss, -(q[0] * q[1] * q[2]).log())
    assert loss > 3 * math.log(3)
    with pytest.raises(ValueError, match="needs a forward pass"):
        mixed.balance_loss()


def test_balance_loss_is_n_log_n_at_the_start_and_reaches_every_gate():
    model, mixed = attach("token")
    model.train()
    prediction = model(*inputs()).sample
    balance = mixed.balance_loss()
    torch.testing.assert_close(balance.detach(), torch.tensor(3 * math.log(3)))
    for parameter in mixed.parameters():
        parameter.data += 0.1  # away from the minimum
    mixed.layers[Q].gate.bias.data[0] += 1
    prediction = model(*inputs()).sample
    (prediction.square().mean() + mixed.balance_loss()).backward()
    for layer in mixed.layers.values():
        assert layer.gate.weight.grad.abs().sum() > 0 and layer.gate.bias.grad.abs().sum() > 0


def test_forward_without_gradient_is_not_balanced():
    model, mixed = attach("token")
    model.train()
    run(model)
    with pytest.raises(ValueError, match="needs a forward pass"):
        mixed.balance_loss()


def test_only_the_gates_are_trained():
    model, mixed = attach("token")
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for parameter in mixed.parameters()}
    assert len(trained) == 4 * len(mixed.layers)


@pytest.mark.parametrize("scope", SCOPES)
def test_mean_gates_average_over_all_images_since_the_reset(scope):
    model, mixed = attach(scope, spread=0.5)
    latents, time, text = inputs(batch=3)
    run(model, latents, time, text)
    together = mixed.mean_gates()
    mixed.reset()
    run(model, latents[:2], time[:2], text[:2])
    run(model, latents[2:], time[2:], text[2:])
    for module, gate in mixed.mean_gates().items():
        assert gate.shape == (3,)
        torch.testing.assert_close(gate, together[module])
        torch.testing.assert_close(gate.sum(), torch.tensor(1.0))


def test_silenced_it_is_its_base_and_no_gate_remembers():
    model, mixed = attach("token", spread=0.5)
    before = run(model)
    mixed.reset()
    with mixed.silenced():
        assert torch.equal(run(model), run(tiny.unet()))
    with pytest.raises(ValueError, match="has seen no image"):
        mixed.mean_gates()
    assert torch.equal(run(model), before) and not torch.equal(before, run(tiny.unet()))


def test_mean_gates_without_an_image_say_so():
    _, mixed = attach("token")
    with pytest.raises(ValueError, match="has seen no image"):
        mixed.mean_gates()


def test_collapse_of_layer_scope_is_exact_as_an_ordinary_lora():
    model, mixed = attach("layer", spread=0.5)
    adapter = mixture.collapse(mixed, "mixture")
    assert adapter.rank == 6 and adapter.scale == 1
    torch.testing.assert_close(run(load_plain(adapter)), run(model), atol=5e-5, rtol=5e-5)


def test_collapse_of_token_scope_uses_the_mean_gates():
    model, mixed = attach("token", spread=0.5)
    run(model)
    gates = mixed.mean_gates()
    adapter = mixture.collapse(mixed, "mixture")
    expected = sum(
        mixed.layers[Q].gate.scale.item() * gates[Q][i] * expert.scale * expert.up[Q] @ expert.down[Q]
        for i, expert in enumerate(mixed.adapters)
    )
    torch.testing.assert_close(adapter.up[Q] @ adapter.down[Q], expected)
    given = mixture.collapse(mixed, "mixture", mean_gates=gates)
    assert all(torch.equal(given.up[module], up) for module, up in adapter.up.items())


def test_override_gives_the_named_expert_at_that_weight():
    model, mixed = attach("token", spread=0.5)
    before = run(model)
    mixed.override({"geometry": 0.5})
    weights = dict.fromkeys(mixed.layers, torch.tensor([0.0, 0.5, 0.0]))
    plain = load_plain(merges.concatenate(mixed.adapters, weights, "half"))
    torch.testing.assert_close(run(model), run(plain), atol=1e-5, rtol=1e-5)
    mixed.override(None)
    assert torch.equal(run(model), before)
    with pytest.raises(ValueError, match=r"'geometri' is not an expert.*Did you mean 'geometry'"):
        mixed.override({"geometri": 1.0})


def test_a_mixture_that_starts_at_the_number_of_experts_is_their_sum():
    experts = [tiny.adapter(tiny.unet(), name) for name in ("aesthetic", "geometry")]
    model, summed = tiny.unet(), tiny.unet()
    mixture.attach(model, experts, "token", scale=2.0)
    mixture.attach(summed, experts, "layer").override({"aesthetic": 1.0, "geometry": 1.0})
    torch.testing.assert_close(run(model), run(summed))


def test_detach_restores_the_original_model():
    model, mixed = attach("image", spread=0.5)
    mixed.detach()
    assert torch.equal(run(model), run(tiny.unet()))
    assert not any(isinstance(module, Mixed) for module in model.modules())


@pytest.mark.parametrize("scope", SCOPES)
def test_any_resolution_and_half_precision_work(scope):
    model, _ = attach(scope, spread=0.5)
    assert run(model, *inputs(size=16)).shape == (2, 4, 16, 16)
    full = run(model)
    latents, time, text = inputs()
    half = run(model.to(torch.bfloat16), latents.bfloat16(), time, text.bfloat16())
    torch.testing.assert_close(half.float(), full, atol=0.3, rtol=0.3)


def test_second_mixture_and_twin_names_and_unknown_scopes_are_refused():
    model, mixed = attach("token")
    with pytest.raises(ValueError, match=r"MixedConv, expected is a plain linear layer or convolution. Detach"):
        mixture.attach(model, mixed.adapters, "token")
    with pytest.raises(ValueError, match="need names of their own"):
        mixture.attach(tiny.unet(), [mixed.adapters[0]] * 2, "token")
    with pytest.raises(ValueError, match=r"'tokens' is not a scope.*Did you mean 'token'"):
        mixture.attach(tiny.unet(), mixed.adapters, "tokens")
