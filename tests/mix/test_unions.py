"""Every union is written as a folder that loads, and the gates' summary says where they are."""

import dataclasses
from typing import get_args

import drawn
import pytest
import tiny
import torch

from versat2i.adapters import loading, lora
from versat2i.formats import recipe as recipes
from versat2i.formats import tables, tensors
from versat2i.mix import unions
from versat2i.models import diffusion
from versat2i.settings import params
from versat2i.settings.compute import CPU
from versat2i.settings.training import Constant, Gates, Joint, Merge
from versat2i.train import losses
from versat2i.work import files

STATIC = get_args(Merge.model_fields["kind"].annotation)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    return tmp_path / "work" / "mix"


@pytest.fixture(scope="module")
def parts(tmp_path_factory, model_folder):
    """Two experts of the tiny model, and a selected set for each."""
    root = tmp_path_factory.mktemp("parts")
    loaded = diffusion.load(params.Model(path=str(model_folder), dtype="float32", threads=1))
    for name in ("colour", "form"):
        adapter = dataclasses.replace(tiny.adapter(loaded.denoiser, name, alpha=0.2), metadata=loaded.identity)
        lora.write(adapter, root / "adapters" / name)
    selected = {
        "colour": drawn.selected(root / "selected" / "colour"),
        "form": drawn.selected(root / "selected" / "form", {"p7": "two pink hearts"}),
    }
    return {name: root / "adapters" / name for name in selected}, selected


def unite(variant, model, parts, out, **mix):
    settings = drawn.settings(model, **mix)
    others = {name: Merge(kind=name) for name in STATIC} | {"joint": Joint(kind="joint")}
    others["constant"] = Constant(kind="constant", weights={"colour": 0.5, "form": 0.25})
    settings = settings.model_copy(update={"mix": others | {"mixture": settings.mix["mixture"]}})
    return unions.unite(variant, settings, *parts, unions.fingerprint(variant, settings, *parts), out, CPU)


def moved(model, folder):
    """How far an adapter moves the model's output."""
    loaded, generator = diffusion.load(model), torch.Generator().manual_seed(0)
    noisy, prompts = torch.randn(1, 4, 16, 16, generator=generator), loaded.embed(["a red circle"])
    with torch.no_grad():
        before = loaded.predict(noisy, torch.tensor([500]), prompts)
        loading.put(loaded, folder)
        return (loaded.predict(noisy, torch.tensor([500]), prompts) - before).abs().max()


@pytest.mark.parametrize("variant", STATIC)
def test_a_merge_is_written_as_a_folder_that_loads_and_has_no_losses(model, parts, tmp_path, variant):
    metrics, curve, done = unite(variant, model, parts, tmp_path / variant)
    done()
    assert metrics == {"rank": 4 if variant in ("uniform", "sum") else 2}
    assert curve.empty and list(curve.columns) == tables.SCHEMAS["losses"].names
    assert loading.metadata(tmp_path / variant) == diffusion.identity(model) | {"adapter": variant}
    assert moved(model, tmp_path / variant) > 1e-3


def test_a_constant_merge_has_the_weights_of_params(model, parts, tmp_path):
    metrics, curve, _ = unite("constant", model, parts, tmp_path / "constant")
    assert metrics == {"rank": 4} and curve.empty
    found = lora.read(tmp_path / "constant", "constant")
    colour, form = (lora.read(folder, name) for name, folder in parts[0].items())
    module = next(iter(found.down))
    expected = 0.5 * colour.scale * colour.up[module] @ colour.down[module]
    expected += 0.25 * form.scale * form.up[module] @ form.down[module]
    torch.testing.assert_close(found.up[module] @ found.down[module], expected)
    assert found.metadata == diffusion.identity(model) | {"adapter": "constant"}


@pytest.mark.parametrize("variant", ["mixture", "sum"])
def test_a_lora_made_elsewhere_is_one_more_expert(model, parts, tmp_path, variant):
    style = lora.folded(tiny.adapter(diffusion.load(model).denoiser, "style", alpha=0.2))
    tensors.write(lora.file_state(style), tmp_path / "style.safetensors")
    rule = drawn.settings(model).mix["mixture"] if variant == "mixture" else Merge(kind="sum")
    rule = rule.model_copy(update={"foreign": {"ink": str(tmp_path / "style.safetensors")}})
    settings = drawn.settings(model).model_copy(update={"mix": {variant: rule}})
    key = unions.fingerprint(variant, settings, *parts)
    metrics, _, _ = unions.unite(variant, settings, *parts, key, tmp_path / variant, CPU)
    if variant == "mixture":
        assert [e.name for e in recipes.read(tmp_path / variant).experts] == list(metrics["gate"])
        assert list(metrics["gate"]) == ["colour", "form", "ink"]
    else:
        assert metrics["rank"] == 6
    assert loading.metadata(tmp_path / variant)["revision"] == diffusion.identity(model)["revision"]
    assert moved(model, tmp_path / variant) > 1e-3
    tensors.write(lora.file_state(lora.folded(dataclasses.replace(style, alpha=9.0))), tmp_path / "style.safetensors")
    assert unions.fingerprint(variant, settings, *parts) != key


@pytest.mark.parametrize("scope", get_args(Gates.model_fields["scope"].annotation))
def test_a_mixture_is_written_as_a_folder_that_loads(model, parts, tmp_path, store, scope):
    metrics, curve, done = unite("mixture", model, parts, tmp_path / "mixture", scope=scope)
    assert len(curve) == metrics["steps"] == 3
    assert list(metrics["gate"]) == ["colour", "form"]
    assert sum(metrics["gate"].values()) == pytest.approx(1, abs=1e-5)
    assert 0 < metrics["entropy"] < 1 and 0 < metrics["distance"] < 1  # the gates have moved
    recipe = recipes.read(tmp_path / "mixture")
    assert recipe.metadata == diffusion.identity(model) | {"adapter": "mixture"}
    assert all(sum(gates) == pytest.approx(1, abs=1e-5) for gates in recipe.mean_gates.values())
    means = torch.tensor(list(recipe.mean_gates.values())).mean(0).tolist()
    assert means == pytest.approx(list(metrics["gate"].values()), abs=1e-5)
    assert moved(model, tmp_path / "mixture") > 1e-3
    assert len(list(store.iterdir())) == 1
    done()
    assert not list(store.iterdir())


def test_gates_learn_by_contrast_without_the_base_being_counted(model, parts, tmp_path):
    metrics, curve, _ = unite("mixture", model, parts, tmp_path / "mixture", objective="contrast")
    assert len(curve) == metrics["steps"] == 3 and curve["loss"].notna().all()
    assert sum(metrics["gate"].values()) == pytest.approx(1, abs=1e-5)
    assert 0 < metrics["distance"] < 1  # the gates have moved


def test_the_joint_lora_has_the_capacity_of_all_experts(model, parts, tmp_path, store):
    metrics, curve, done = unite("joint", model, parts, tmp_path / "joint")
    assert metrics["rank"] == 2 + 3 and metrics["steps"] == len(curve) == 3 + 4
    joint = lora.read(tmp_path / "joint", "joint")
    assert joint.rank == 5 and joint.alpha == 4.0
    assert moved(model, tmp_path / "joint") > 0
    assert len(list(store.iterdir())) == 1
    done()
    assert not list(store.iterdir())


def test_joint_settings_are_sums_over_the_aspects_in_use(model):
    whole = drawn.settings(model, aspects=("colour", "form", "light"))
    joint = unions.joint_settings(whole)
    first = whole.train_lora["colour"]
    assert joint == first.model_copy(update={"rank": 2 + 3 + 4, "alpha": 6.0, "steps": 3 + 4 + 5})
    fewer = unions.joint_settings(whole.model_copy(update={"aspects": ["form"]}))
    assert fewer == whole.train_lora["form"]


@pytest.fixture(scope="module")
def unbroken(parts, model_folder, tmp_path_factory):
    """Metrics, losses and hash of a mixture trained without a stop."""
    root = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERSAT2I_WORK", str(root / "work"))
        base = params.Model(path=str(model_folder), dtype="float32", threads=1)
        metrics, curve, _ = unite("mixture", base, parts, root / "mixture", checkpoint_every=1)
    return metrics, curve, files.folder_hash(root / "mixture")


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stopped_mixture_ends_with_the_same_bytes_and_metrics(model, parts, tmp_path, monkeypatch, unbroken, stop):
    """Stopped after step 1, or after the last step, 3, before anything was written."""
    calls, loss = [], losses.diffusion_loss

    def fails(*args):
        calls.append(1)
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        return loss(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(losses, "diffusion_loss", fails)
        unite("mixture", model, parts, tmp_path / "mixture", checkpoint_every=1)
    metrics, curve, _ = unite("mixture", model, parts, tmp_path / "mixture", checkpoint_every=1)
    assert metrics == unbroken[0] and curve.equals(unbroken[1])
    assert files.folder_hash(tmp_path / "mixture") == unbroken[2]
