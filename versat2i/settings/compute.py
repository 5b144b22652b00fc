"""Where and how fast work runs: compute.yaml. Nothing here changes a result by more than rounding does."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from versat2i.settings import complaints, reader, renamed

MOST = 4  # processes side by side where nobody says how many: each holds a model in memory


DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d+)?")
SAID = {"gpu": "cuda", "nvidia": "cuda", "rocm": "cuda", "hip": "cuda", "metal": "mps", "apple": "mps", "intel": "xpu"}
"""Common names of devices and torch's name for them."""


def _device(name: str) -> str:
    """A name that torch has for a device.

    Raises:
        ValueError: not a device; the message names the nearest one.
    """
    if DEVICE.fullmatch(name):
        return name
    meant = SAID.get(re.sub(r"[^a-z]", "", name.lower()))
    advice = f". Did you mean {meant!r}?" if meant else complaints.hint(name.lower(), ("auto", "cpu", "cuda", "mps"))
    raise ValueError(f"{name!r} is no device; expected auto, cpu, cuda, cuda:1 or mps{advice}")


def _expect(device: str) -> None:
    """Raise a ValueError if torch has no such device on this machine."""
    kind, _, number = device.partition(":")
    if kind in ("auto", "cpu"):
        return
    import torch  # seconds to import

    there = {
        "cuda": torch.cuda.device_count(),
        "xpu": torch.xpu.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[kind]
    if int(number or 0) >= there:
        has = f"torch sees {there} such devices here" if there else "torch sees no such device here"
        raise ValueError(f"device is {device}, but {has}. Install its driver, or set device: auto")


class Server(BaseModel):
    """Where a model is served, and how it is asked.

    Attributes:
        url: of its OpenAI-compatible API, with the version: ``http://localhost:8000/v1``.
        key: the environment variable that holds its key; None for a server without.
        requests: how many are under way at a time.
        timeout: seconds until an attempt is given up.
        attempts: of a request, before it is an error.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    url: Annotated[str, Field(pattern=r"^https?://")]
    key: str | None = None
    requests: Annotated[int, Field(ge=1)] = 16
    timeout: Annotated[float, Field(gt=0)] = 120.0
    attempts: Annotated[int, Field(ge=1)] = 5


class Cluster(BaseModel):
    """Which Ray cluster works, and what each worker gets of it.

    Attributes:
        address: of its head, ``host:port``; None: what RAY_ADDRESS says, else a Ray of this machine alone.
        gpus: of a worker, fractions too; `auto`: one where the cluster has any and `device` is no CPU.
        cpus: of a worker.
        shared_disk: whether every node sees the project's folder and the work store under the same path; where not,
            what a unit reads and what it makes travel through Ray's object store.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    address: Annotated[str, Field(pattern=r"^[^:/\s]+:\d+$")] | None = None
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    cpus: Annotated[float, Field(gt=0)] = 1.0
    shared_disk: bool = False


class Compute(BaseModel):
    """How to run.

    Attributes:
        device: `auto` takes a GPU where there is one.
        engine: `inline` works in this process, `processes` in several, `ray` on a cluster.
        ray: which cluster, and what each worker gets of it.
        workers: how many processes a stage has, see `processes`; with `ray`, `auto` is as many as have room.
        jobs: how many stages `make repro` runs at a time, see `stages_at_once`.
        tracker: `tensorboard` notes losses and samples of training in the work store.
        samples_every: steps between two sample grids.
        devices: a training is done by so many processes, each with its rows of every batch: by one on each GPU.
        micro_batch: rows of a batch that a device trains on at once, their gradients added up; None: all it has.
        attention: torch's kernel for attention in the denoiser; `auto` leaves the choice to torch.
        compile: torch compiles the denoiser: minutes at the start, faster after.
        vae_slicing: images are decoded one at a time.
        gradient_checkpointing: training keeps fewer activations and computes them again: about a third slower.
        cpu_offload: each network waits in main memory while another computes.
        environments: where the Python environments that params name lie on this machine.
        servers: where the models that params ask by `server` are served.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    device: Annotated[str, AfterValidator(_device)] = "auto"
    engine: Literal["inline", "processes", "ray"] = "inline"
    ray: Cluster = Cluster()
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    jobs: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    tracker: Literal["none", "tensorboard"] = "none"
    samples_every: Annotated[int, Field(ge=1)] = 50
    devices: Annotated[int, Field(ge=1)] = 1
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    attention: Literal["auto", "math", "flash", "efficient", "cudnn"] = "auto"
    compile: bool = False
    vae_slicing: bool = False
    gradient_checkpointing: bool = False
    cpu_offload: bool = False
    environments: dict[str, str] = {}
    servers: dict[str, Server] = {}

    def torch_device(self) -> str:
        """The device's name for torch."""
        if self.device != "auto":
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    def processes(self, stage: str) -> int:
        """Number of processes for a stage's shards: 1 by the engine `inline`, else `workers`.

        `auto` is one on each of several GPUs. Elsewhere it is `side_by_side` for ``generate``, beside which little
        else can run, else one: a process takes seconds to start, and `make repro` runs whole stages side by side.
        """
        if self.engine == "inline":
            return 1
        if self.workers != "auto":
            return self.workers
        return len(self.gpus()) or (self.side_by_side() if stage == "generate" else 1)

    def gpus(self) -> list[str]:
        """The GPUs that processes are shared out over, as CUDA_VISIBLE_DEVICES names them.

        Empty where one is named (``cuda:1``), or where there are not several.
        """
        if self.engine != "processes" or self.torch_device() != "cuda":
            return []
        seen = _gpus()
        return seen if len(seen) > 1 else []

    def of_ranks(self) -> list[str]:
        """The GPU of each process of a training on several `devices`; empty where they compute on the CPU."""
        return _gpus()[: self.devices] if self.torch_device() == "cuda" else []

    def stages_at_once(self) -> int:
        """Number of stages that `make repro` runs at a time: `jobs`, or as many as `side_by_side`.

        With `ray` the cluster has the last word, see `versat2i.tools.repro`.
        """
        return self.side_by_side() if self.jobs == "auto" else self.jobs

    def side_by_side(self) -> int:
        """Number of processes this machine has room for: one on an accelerator, whose memory may not hold two.

        On a CPU one a core, at most `MOST`: two of one thread do more than one of two.
        """
        return min(os.cpu_count() or 1, MOST) if self.torch_device() == "cpu" else 1


def _gpus() -> list[str]:
    """The GPUs that torch sees, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    amount = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (named or [str(number) for number in range(amount)])[:amount]


def _expect_devices(machine: Compute) -> None:
    """Raise a ValueError if no training can be done on so many devices here."""
    if machine.devices == 1:
        return
    told = f"devices is {machine.devices}"
    if machine.engine == "ray":
        raise ValueError(
            f"{told}, but engine: ray trains each expert on one device, several of them side by side. Set devices: 1, "
            "or engine: processes on a machine with several GPUs"
        )
    device = machine.torch_device()
    if device not in ("cpu", "cuda"):
        raise ValueError(
            f"{told}, but device is {device}: a training is shared out over GPUs of CUDA or processes of the CPU. "
            "Set device to auto, cuda or cpu, or devices to 1"
        )
    if device == "cuda" and len(_gpus()) < machine.devices:
        raise ValueError(f"{told}, but torch sees {len(_gpus())} here. Set devices to so many, or device: cpu")


NOWHERE: Mapping[str, Server] = {}  # no model is served
CPU = Compute(device="cpu")  # what holds where nobody says how to run


def load(path: Path = Path("compute.yaml")) -> Compute:
    """compute.yaml, or what holds without one.

    Raises:
        ValueError: a setting is unknown or of the wrong type, the device is not there, or the file is not YAML.
    """
    if not path.exists():
        return Compute()
    try:
        content = reader.parse(path.read_text()) or {}
        if moved := renamed.in_compute(content):
            raise ValueError("; ".join(moved))
        machine = Compute.model_validate(content)
        if machine.engine != "ray":  # whose nodes have the devices
            _expect(machine.device)
        _expect_devices(machine)
        return machine
    except ValidationError as error:
        raise ValueError(f"{path}: {complaints.line(error.errors()[0], Compute)}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
