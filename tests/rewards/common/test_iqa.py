"""Metrics of pyiqa by name: its own direction and range, and its own values, in batches of any size."""

import os
import re
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import tiny_vision
import torch
from scored import scored
from transformers.models.llama import modeling_llama

from versat2i import rewards
from versat2i.rewards.common import iqa
from versat2i.work import fingerprint


def checkers(*levels, size=64):
    """Squares of these gray levels in equal parts, ``uint8 [size, size, 3]``."""
    cells = np.resize(np.array(levels, np.uint8), (size // 8, size // 8))
    return np.kron(cells, np.ones((8, 8), np.uint8))[..., None].repeat(3, axis=2)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0, 100", (0, 100)),
        ("~0, ~100", (0, 100)),
        ("~-1, ~0.1", (-1, 0.1)),
        ("0, ~", (0, np.inf)),
        ("~, 0", (-np.inf, 0)),
    ],
)
def test_a_range_of_pyiqa_is_two_numbers(text, expected):
    assert iqa.bounds(text) == expected


@pytest.mark.parametrize("name", iqa.names())
def test_every_metric_says_what_it_is_before_anything_is_loaded(name):
    reward = rewards.load("judges", f"pyiqa:{name}")
    low, high = reward.range
    assert low < high
    assert (reward.name, reward.metric) == (f"pyiqa:{name}", name)
    assert "PolyForm-Noncommercial" in reward.licence
    assert "model" not in vars(reward)


@pytest.mark.parametrize("name, higher", [("musiq", True), ("laion_aes", True), ("niqe", False), ("topiq_iaa", True)])
def test_the_direction_is_that_of_pyiqa(name, higher):
    assert rewards.load("low_level", f"pyiqa:{name}").higher_is_better is higher


def test_metrics_that_see_more_than_one_image_are_not_among_them():
    assert not {"lpips", "ssim", "fid", "inception_score", "clipscore"} & set(iqa.names())
    assert {"laion_aes", "musiq", "qalign", "qrealign-mini", "topiq_iaa", "piqe"} <= set(iqa.names())


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_entropy_is_the_number_of_bits_of_a_gray_level(batch_size):
    """``log2 n`` for n levels in equal parts."""
    images = np.stack([checkers(0, 255), checkers(0, 80, 160, 240), checkers(9), checkers(*range(8, 256, 16))])
    found = scored(rewards.load("low_level", "pyiqa:entropy", batch_size=batch_size), images)
    np.testing.assert_allclose(found.values, [1.0, 2.0, np.nan, 4.0], atol=1e-4)
    assert found.reasons == [None, None, "the image is blank", None]


def test_what_a_metric_cannot_take_is_an_error_that_says_how_many_and_how_large():
    reward = rewards.load("low_level", "pyiqa:entropy", call={"task_": "aesthetic"})
    with pytest.raises(ValueError, match=r"pyiqa:entropy: cannot judge 1 images of 64x64 pixels at once .*task_"):
        scored(reward, checkers(0, 255)[None])


@pytest.mark.parametrize("fails", [True, False], ids=["no solution", "not a number"])
def test_an_image_whose_statistics_have_no_value_is_not_judged_and_the_others_are(monkeypatch, fails):
    """NIQE fits Gaussians: where colours hardly differ a covariance has no inverse, and the whole batch fails."""

    def niqe(images):
        spread = images.flatten(1).std(1)
        if fails and (spread < 0.01).any():
            raise torch.linalg.LinAlgError("linalg.svd: The algorithm failed to converge")
        return torch.where(spread < 0.01, torch.nan, spread)

    monkeypatch.setattr("pyiqa.create_metric", lambda *a, **k: niqe)
    images = np.stack([checkers(0, 255), checkers(8, 9), checkers(0, 128)])
    found = scored(rewards.load("low_level", "pyiqa:niqe", batch_size=3), images)
    np.testing.assert_allclose(found.values, [0.5, np.nan, 64 / 255], atol=0.01)
    assert found.reasons == [None, "the metric has no value for it: its colours may hardly differ", None]


def test_weights_that_cannot_be_had_are_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("pyiqa.create_metric", lambda *a, **k: (_ for _ in ()).throw(OSError("no route\nto host")))
    with pytest.raises(ValueError, match=r"pyiqa:musiq: pyiqa cannot load it \(no route to host\)"):
        scored(rewards.load("low_level", "pyiqa:musiq"), checkers(0, 255)[None])


def test_a_weights_file_that_would_run_code_is_refused(tmp_path, monkeypatch):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'harm'}",)

    torch.save({"params": Harm()}, tmp_path / "weights.pth")
    load = torch.load
    monkeypatch.setattr("pyiqa.create_metric", lambda *a, **k: load(tmp_path / "weights.pth", weights_only=False))
    with pytest.raises(ValueError, match="more than tensors are refused"):
        scored(rewards.load("low_level", "pyiqa:musiq"), checkers(0, 255)[None])
    assert not (tmp_path / "harm").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


# ------------------------------------------------------------------------------------- what is named works


def named():
    """The metrics that docs and presets name."""
    root = fingerprint.ROOT
    pages = [root / "README.md", *root.glob("docs/**/*.md"), *root.glob("presets/*.yaml")]
    return sorted({name for page in pages for name in re.findall(r"pyiqa:([\w+-]+)", page.read_text())})


@pytest.fixture
def random_weights(monkeypatch, tmp_path):
    """No weights are loaded: every metric keeps the random ones that it was built with."""
    from pyiqa.archs import musiq_arch, qrealign_arch, topiq_arch

    for arch in (musiq_arch, topiq_arch):
        monkeypatch.setattr(arch, "load_pretrained_network", lambda *a, **k: None)
    swin = topiq_arch.create_swin
    monkeypatch.setattr(topiq_arch, "create_swin", lambda name, pretrained, **k: swin(name, pretrained=False, **k))
    monkeypatch.setitem(qrealign_arch.MODELS, "mini", tiny_vision.qwen(tmp_path / "qwen"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(
    "name",
    named(),
)
def test_a_metric_that_docs_or_presets_name_scores_an_image(random_weights, name):
    assert iqa.lacks(name) is None
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    found = scored(rewards.load("judges", f"pyiqa:{name}"), images)
    assert np.isfinite(found.values).all() and found.reasons == [None, None]


def test_a_metric_that_lacks_a_package_is_one_line_that_names_it(monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'pkg_resources'", name="pkg_resources")

    monkeypatch.setattr("pyiqa.create_metric", missing)
    with pytest.raises(ValueError) as error:
        scored(rewards.load("low_level", "pyiqa:liqe"), checkers(0, 255)[None])
    assert str(error.value) == (
        "pyiqa:liqe: needs the package pkg_resources (it is in setuptools<81), which is not installed. "
        "Install it, or take another metric: `versat2i rewards` lists those that work here"
    )


def test_what_metrics_lack_is_found_by_importing_them_elsewhere():
    """Here is what this environment has. Some metrics change transformers, so they are imported in another process."""
    found = iqa.lacking()
    assert list(found) == iqa.names()
    assert {name: found[name] for name in ("musiq", "topiq_iaa", "piqe")} == dict.fromkeys(
        ("musiq", "topiq_iaa", "piqe")
    )
    for name, package in {"liqe": "pkg_resources", "qalign": "icecream"}.items():
        assert found[name] == (None if find_spec(package) else iqa.PACKAGES.get(package, package))
    assert "pyiqa.archs.compare2score_arch" not in sys.modules


def test_a_metric_leaves_transformers_as_it_was(random_weights):
    """pyiqa looks for TOPIQ in every module it has, one of which replaces the attention of Llama."""
    _ = rewards.load("judges", "pyiqa:topiq_iaa").model
    assert modeling_llama.LlamaAttention.__module__ == "transformers.models.llama.modeling_llama"
