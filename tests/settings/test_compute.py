"""Work gives the same results in order, wherever it runs."""

import os
from pathlib import Path

import pytest

from versat2i.settings import compute

ROOT = Path(__file__).parents[2]


def test_a_device_that_is_named_is_taken_as_it_is():
    assert compute.Compute(device="cuda:1").torch_device() == "cuda:1"


@pytest.mark.parametrize(
    "name, meant",
    [("gpu", "cuda"), ("GPU:0", "cuda"), ("nvidia", "cuda"), ("Cuda", "cuda"), ("metal", "mps"), ("cup", "cpu")],
)
def test_a_device_that_torch_does_not_know_is_told_with_the_one_that_is_meant(tmp_path, name, meant):
    (tmp_path / "compute.yaml").write_text(f"device: {name!r}")
    with pytest.raises(
        ValueError, match=f"compute.yaml: device: {name!r} is no device; .* Did you mean {meant!r}"
    ) as e:
        compute.load(tmp_path / "compute.yaml")
    assert "\n" not in str(e.value)


def test_a_device_that_is_not_there_is_told_when_the_file_is_read(tmp_path, monkeypatch):
    import torch

    (tmp_path / "compute.yaml").write_text("device: cuda:1")
    for amount, has in ((0, "torch sees no such device here"), (1, "torch sees 1 such devices here")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda amount=amount: amount)
        with pytest.raises(ValueError, match=f"compute.yaml: device is cuda:1, but {has}. Install its driver, or set"):
            compute.load(tmp_path / "compute.yaml")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert compute.load(tmp_path / "compute.yaml").torch_device() == "cuda:1"


def test_auto_finds_a_device_that_torch_has():
    import torch

    assert torch.zeros(1, device=compute.Compute().torch_device()).sum() == 0


def test_without_a_file_work_runs_in_this_process(tmp_path):
    assert compute.load(tmp_path / "compute.yaml") == compute.Compute(device="auto", engine="inline", workers="auto")


def test_an_empty_file_says_nothing(tmp_path):
    (tmp_path / "compute.yaml").write_text("# all as usual\n")
    assert compute.load(tmp_path / "compute.yaml") == compute.Compute()


def test_a_file_says_how_to_run(tmp_path):
    (tmp_path / "compute.yaml").write_text("{device: cpu, engine: processes, workers: 3}")
    assert compute.load(tmp_path / "compute.yaml") == compute.Compute(device="cpu", engine="processes", workers=3)


def test_the_file_in_the_repository_loads():
    assert compute.load(ROOT / "compute.yaml").stages_at_once() >= 1


@pytest.mark.parametrize("cores, most", [(1, 1), (2, 2), (64, 4)])
def test_a_cpu_has_room_for_as_many_as_its_cores_up_to_four(monkeypatch, cores, most):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    machine = compute.Compute(device="cpu", engine="processes")
    assert machine.stages_at_once() == machine.processes("generate") == most
    assert machine.processes("evaluate") == 1


def test_an_accelerator_has_room_for_one():
    machine = compute.Compute(device="cuda:1", engine="processes")
    assert machine.stages_at_once() == machine.processes("generate") == 1


@pytest.mark.parametrize(
    "visible, amount, expected",
    [(None, 8, [str(number) for number in range(8)]), ("4,GPU-ab", 2, ["4", "GPU-ab"]), (None, 1, []), ("3", 1, [])],
)
def test_on_a_box_with_several_gpus_processes_start_one_worker_on_each(monkeypatch, visible, amount, expected):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: amount)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine = compute.Compute(engine="processes")
    assert machine.gpus() == expected
    assert [machine.processes(stage) for stage in ("generate", "score", "evaluate")] == [max(1, len(expected))] * 3
    assert compute.Compute(engine="inline").processes("generate") == 1
    assert compute.Compute(engine="processes", device="cuda:1").gpus() == []


def cuda(monkeypatch, amount, visible=None):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: amount > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: amount)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


def test_each_rank_of_a_training_has_a_gpu_of_its_own(tmp_path, monkeypatch):
    cuda(monkeypatch, 3, "4,GPU-ab,6")
    (tmp_path / "compute.yaml").write_text("{engine: inline, devices: 2, micro_batch: 1}")
    machine = compute.load(tmp_path / "compute.yaml")
    assert machine.of_ranks() == ["4", "GPU-ab"] and machine.micro_batch == 1
    assert compute.Compute(device="cpu", devices=2).of_ranks() == []


@pytest.mark.parametrize(
    "content, amount, told",
    [
        ("{devices: 4}", 2, "devices is 4, but torch sees 2 here. Set devices to so many, or device: cpu"),
        ("{devices: 2, device: 'cuda:1'}", 2, "devices is 2, but device is cuda:1: a training is shared out over GPUs"),
        ("{devices: 2, engine: ray}", 0, "devices is 2, but engine: ray trains each expert on one device"),
        ("{devices: 0}", 0, "devices is 0"),
        ("{micro_batch: 0}", 0, "micro_batch is 0"),
    ],
)
def test_devices_that_cannot_train_together_are_refused_in_one_line(tmp_path, monkeypatch, content, amount, told):
    cuda(monkeypatch, amount)
    (tmp_path / "compute.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"compute.yaml: ") as error:
        compute.load(tmp_path / "compute.yaml")
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("ray, named", [("{address: here}", "address"), ("{gpus: -1}", "gpus"), ("{cpu: 1}", "cpu")])
def test_a_wrong_setting_of_a_cluster_is_named(tmp_path, ray, named):
    (tmp_path / "compute.yaml").write_text(f"{{engine: ray, ray: {ray}}}")
    with pytest.raises(ValueError, match=f"ray.{named}"):
        compute.load(tmp_path / "compute.yaml")


def test_a_driver_needs_no_device_of_its_cluster(tmp_path):
    (tmp_path / "compute.yaml").write_text("{engine: ray, device: 'cuda:9', ray: {address: 'head:6379', gpus: 0.5}}")
    assert compute.load(tmp_path / "compute.yaml").ray == compute.Cluster(address="head:6379", gpus=0.5)


def test_what_is_asked_for_is_done_on_any_device():
    asked = {"device": "cuda", "workers": 3, "jobs": 4}
    machine = compute.Compute(engine="processes", **asked)
    assert (machine.stages_at_once(), machine.processes("generate"), machine.processes("score")) == (4, 3, 3)
    assert compute.Compute(engine="inline", **asked).processes("generate") == 1


@pytest.mark.parametrize(
    "content, named",
    [
        (b"wokers: 2", "wokers"),
        (b"workers: 0", "workers"),
        (b"workers: '2'", "workers"),
        (b"workers: true", "workers"),
        (b"engine: dask", "engine"),
        (b"device: 0", "device"),
        (b"[a, b]", "dictionary"),
        (b"device: [", "expected the node content"),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path, content, named):
    path = tmp_path / "compute.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        compute.load(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert named in str(error.value)


def test_compute_yaml_is_read_by_commands_alone():
    """What lies deeper is told: in a notebook the current folder may hold anybody's file."""
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "versat2i").rglob("*.py")}
    reading = {name for name, text in sources.items() if "compute.load(" in text}
    assert {name for name in reading if not name.startswith("versat2i/cli/")} == {
        "versat2i/tools/doctor.py",
        "versat2i/tools/next_round.py",
        "versat2i/tools/repro.py",
    }
