"""A schedule noises as its formula says; a model is trained on its own noise, or refused."""

import json
import shutil

import pytest
import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from versat2i.models import diffusion
from versat2i.models.diffusion.schedules import Discrete, Flow, schedule_of, snr_weights
from versat2i.settings.params import Model

FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
QUANTILES = torch.tensor([0.1, 0.5, 0.9])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("epsilon", [1, 5 / 9, 1]), ("v_prediction", [1 / 2, 5 / 10, 0.25 / 1.25])],
)
def test_min_snr_weights_worked_out_by_hand(kind, expected):
    """alpha_bar 0.5, 0.9 and 0.2 are signal-to-noise ratios 1, 9 and 0.25; gamma is 5."""
    weights = snr_weights(torch.tensor([0.2, 0.9, 0.5]), torch.tensor([2, 1, 0]), 5.0, kind)
    torch.testing.assert_close(weights, torch.tensor(expected))


def discrete(kind, **config):
    """Two timesteps whose alpha_bar are 0.64 and 0.36: noise and image count 0.6 and 0.8, and the other way round."""
    return Discrete(DDPMScheduler(2, trained_betas=[0.36, 1 - 0.36 / 0.64], prediction_type=kind, **config))


@pytest.fixture
def flow():
    """1,000 timesteps, not shifted: the sigma of timestep t is t / 1000."""
    return Flow(FlowMatchEulerDiscreteScheduler(1000))


def image(value):
    return torch.full((2, 1, 1, 1), value)


def test_quantiles_are_timesteps_and_the_last_one_is_there():
    times = Discrete(DDPMScheduler(1000)).times(torch.tensor([0.0, 0.2504, 0.5, 1.0]))
    assert times.tolist() == [0, 250, 500, 999]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("epsilon", [10.0, 10.0]),
        ("v_prediction", [0.8 * 10 - 0.6 * 5, 0.6 * 10 - 0.8 * 5]),
    ],
)
def test_noise_and_target_worked_out_by_hand(kind, expected):
    noisy, target = discrete(kind).diffuse(image(5.0), image(10.0), torch.tensor([0, 1]))
    torch.testing.assert_close(noisy.flatten(), torch.tensor([0.8 * 5 + 0.6 * 10, 0.6 * 5 + 0.8 * 10]))
    torch.testing.assert_close(target.flatten(), torch.tensor(expected))


def test_pure_noise_has_no_weight_in_v_prediction_at_zero_terminal_snr():
    schedule = Discrete(DDPMScheduler(1000, rescale_betas_zero_snr=True, prediction_type="v_prediction"))
    assert schedule.weights(torch.tensor([999]), 5.0).item() == 0


def test_a_prediction_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="predicts 'sample'; supported are epsilon and v_prediction"):
        discrete("sample")


def test_half_of_a_flows_times_are_below_the_middle(flow):
    """The median of a normal variable is 0, and its sigmoid 1/2; quantiles 0 and 1 are the ends."""
    assert flow.times(torch.tensor([0.0, 0.5, 1.0])).tolist() == [1.0, 500.0, 1000.0]


def test_a_flow_is_a_straight_line_from_image_to_noise(flow):
    noisy, target = flow.diffuse(image(4.0), image(8.0), torch.tensor([250.0, 1000.0]))
    assert noisy.flatten().tolist() == [5.0, 8.0] and target.flatten().tolist() == [4.0, 4.0]


def test_a_flow_has_no_signal_to_noise_ratio_to_weigh_by(flow):
    with pytest.raises(ValueError, match="Leave min_snr out"):
        flow.weights(torch.tensor([500.0]), 5.0)


def test_the_schedule_is_the_one_that_the_sampler_was_made_for():
    assert isinstance(schedule_of(FlowMatchEulerDiscreteScheduler()), Flow)
    assert isinstance(
        schedule_of(UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)), Flow
    )
    found = schedule_of(EulerDiscreteScheduler(prediction_type="v_prediction"))
    assert isinstance(found, Discrete) and found.kind == "v_prediction"


@pytest.mark.parametrize(
    "sampler",
    [
        DPMSolverMultistepScheduler(flow_shift=3.0, **FLOW),
        UniPCMultistepScheduler(flow_shift=3.0, **FLOW),
        FlowMatchEulerDiscreteScheduler(shift=3.0),
        FlowMatchHeunDiscreteScheduler(shift=3.0),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_flow_keeps_its_shift_whatever_it_is_called(sampler):
    """At the median a time is 1/2 before the shift, and ``3 t / (1 + 2 t)`` = 3/4 after it."""
    times = schedule_of(sampler).times(QUANTILES)
    assert times[1].item() == pytest.approx(750, abs=1)
    unshifted = 1 / (1 + torch.exp(-torch.special.ndtri(QUANTILES)))
    torch.testing.assert_close(times, 1000 * 3 * unshifted / (1 + 2 * unshifted), atol=3, rtol=0)


def test_a_flow_without_shift_has_none():
    assert schedule_of(DPMSolverMultistepScheduler(**FLOW)).times(QUANTILES)[1].item() == pytest.approx(500, abs=1)


def test_a_flow_whose_shift_follows_the_size_is_shifted_by_what_its_family_says():
    """At the median a time is 1/2 before the shift by a factor of 3 = exp(1.0986), and 3/4 after it."""
    found = schedule_of(FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=5.0), by_size=True)
    assert found.by_size
    assert found.times(QUANTILES, 1.0986)[1].item() == pytest.approx(750, abs=1)
    assert found.times(QUANTILES, 0.0)[1].item() == pytest.approx(500, abs=1)


def test_a_flow_of_films_is_noised_as_one_of_images():
    latents, noise = torch.ones(2, 4, 1, 2, 2), torch.zeros(2, 4, 1, 2, 2)
    noisy, target = Flow(FlowMatchEulerDiscreteScheduler()).diffuse(latents, noise, torch.tensor([250.0, 1000.0]))
    assert noisy[0].unique().tolist() == [0.75] and noisy[1].unique().tolist() == [0.0]
    assert target.unique().tolist() == [-1.0]


def test_a_flow_whose_shift_follows_the_size_is_refused_where_no_family_says_how_far():
    with pytest.raises(
        ValueError, match=r"FlowMatchEulerDiscreteScheduler\) shifts its times by the size of the image"
    ):
        schedule_of(FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True))


@pytest.mark.parametrize(
    "sampler",
    [
        EDMDPMSolverMultistepScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5),
        EDMEulerScheduler(sigma_min=0.002, sigma_max=120.0, sigma_data=1.0, prediction_type="v_prediction"),
        CMStochasticIterativeScheduler(),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_scheduler_without_betas_is_refused_by_name(sampler):
    with pytest.raises(ValueError, match=rf"the model's scheduler \({type(sampler).__name__}\) has no betas"):
        schedule_of(sampler)


def test_betas_that_were_trained_are_betas():
    betas = torch.linspace(0.001, 0.02, 1000)
    found = schedule_of(EulerDiscreteScheduler(trained_betas=betas.tolist()))
    torch.testing.assert_close(found.scheduler.alphas_cumprod, (1 - betas).cumprod(0))


def test_a_model_that_cannot_be_trained_is_refused_when_it_is_loaded(model_folder, tmp_path):
    """Not after a night of drawing."""
    folder = shutil.copytree(model_folder, tmp_path / "playground")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "EDMDPMSolverMultistepScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    EDMDPMSolverMultistepScheduler(sigma_data=0.5).save_pretrained(folder / "scheduler")
    with pytest.raises(ValueError) as error:
        diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
    assert str(error.value) == (
        f"{folder}: the model's scheduler (EDMDPMSolverMultistepScheduler) has no betas but sigma_data 0.5: how to "
        "noise its images is not known here, it would be trained as another model. Name a model whose scheduler has "
        "betas or is a flow"
    )
