"""Where and how fast work runs: compute.yaml. Nothing here changes a result by more than rounding does."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from versat2i.settings import complaints, yaml_files

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST = 4  # processes side by side where nobody says how many: each holds a model in memory


class Compute(BaseModel):
    """How to run.

    Attributes:
        device: `auto` takes a GPU where there is one.
        engine: `inline` works in this process, `processes` in several.
        workers: how many processes a stage has, see `processes`.
        jobs: how many stages `make repro` runs at a time, see `stages_at_once`.
        tracker: `tensorboard` notes losses and samples of training in the work store.
        samples_every: steps between two sample grids.
        attention: torch's kernel for attention in the denoiser; `auto` leaves the choice to torch.
        compile: torch compiles the denoiser: minutes at the start, faster after.
        vae_slicing: images are decoded one at a time.
        vae_tiling: images larger than a tile are decoded tile by tile.
        gradient_checkpointing: training keeps fewer activations and computes them again: about a third slower.
        cpu_offload: each network waits in main memory while another computes.
        environments: where the Python environments that params name lie on this machine.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    device: str = "auto"
    engine: Literal["inline", "processes"] = "inline"
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    jobs: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    tracker: Literal["none", "tensorboard"] = "none"
    samples_every: Annotated[int, Field(ge=1)] = 50
    attention: Literal["auto", "math", "flash", "efficient", "cudnn"] = "auto"
    compile: bool = False
    vae_slicing: bool = False
    vae_tiling: bool = False
    gradient_checkpointing: bool = False
    cpu_offload: bool = False
    environments: dict[str, str] = {}

    def torch_device(self) -> str:
        """The device's name for torch."""
        if self.device != "auto":
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    def processes(self, stage: str) -> int:
        """How many processes work on a stage's shards: 1 by the engine `inline`, else `workers`.

        `auto` is `side_by_side` for ``generate``, beside which little else can run, else one: a process takes seconds
        to start, and `make repro` runs whole stages side by side.
        """
        if self.engine == "inline":
            return 1
        if self.workers != "auto":
            return self.workers
        return self.side_by_side() if stage == "generate" else 1

    def stages_at_once(self) -> int:
        """How many stages `make repro` runs at a time: `jobs`, or as many as `side_by_side`."""
        return self.side_by_side() if self.jobs == "auto" else self.jobs

    def side_by_side(self) -> int:
        """How many processes this machine has room for: one on an accelerator, whose memory may not hold two.

        On a CPU one a core, at most `MOST`: two of one thread do more than one of two.
        """
        return min(os.cpu_count() or 1, MOST) if self.torch_device() == "cpu" else 1


def multiplies_in(dtype: str, device: str) -> bool:
    """Whether a device has instructions for products in `dtype`, float16 or bfloat16; a GPU is taken to.

    A CPU without them is better off in float32: there torch's kernels of a smaller dtype take up to thirty times as
    long (a forward pass of the embedded denoiser on AMD Zen 3: 14 ms a sample in float32, 410 ms in bfloat16).
    """
    import torch

    if torch.device(device).type != "cpu":
        return True
    if not torch.backends.mkldnn.is_available():
        return False
    kernels = torch.ops.mkldnn
    asked = {"bfloat16": kernels._is_mkldnn_bf16_supported, "float16": kernels._is_mkldnn_fp16_supported}
    return bool(asked[dtype]())


def load(path: Path = Path("compute.yaml")) -> Compute:
    """compute.yaml, or what holds without one.

    Raises:
        ValueError: a setting is unknown or of the wrong type, or the file is not YAML.
    """
    if not path.exists():
        return Compute()
    try:
        return Compute.model_validate(yaml_files.parse(path.read_text()) or {})
    except ValidationError as error:
        raise ValueError(f"{path}: {complaints.line(error.errors()[0], Compute)}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None


_make: Callable[[], Callable] | None = None  # of this worker process, told by `_start`


def _start(make: Callable[[], Callable]) -> None:
    global _make
    _make = make
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: whoever gave the work out says when it ends
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, and in processes that the block starts until they let it come.

    A worker that Ctrl-C ends before `_start` breaks the pool while its tasks are called off, and Python's executor
    may then wait for ever (github.com/python/cpython/pull/108974).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, and hold its GPU."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@cache
def _worker() -> Callable:
    """Made by the first task, not by `_start`, whose errors would reach the caller as a broken pool."""
    return _make()  # type: ignore[misc]


def _work(task: Any) -> Any:
    return _worker()(task)


def run(make: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task], processes: int) -> Iterator[Result]:
    """Work on tasks, results in their order.

    Args:
        make: makes the worker, once a process; must be picklable where there are several.
        tasks: what each call of the worker is given.
        processes: how many share the tasks out; a single one is this process.

    Raises:
        ValueError: a worker process was killed; else whatever a worker raises.
    """
    workers = min(processes, len(tasks), os.cpu_count() or 1)
    if workers < 2:
        worker = make() if tasks else None
        yield from (worker(task) for task in tasks if worker)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, _start, (make,)) as pool:
            with _interrupts_wait():
                results = pool.map(_work, tasks)
            yield from results
    except BrokenProcessPool:
        raise ValueError(
            f"one of {workers} worker processes was killed, perhaps for want of memory. Run again to go on from "
            "what is finished; fewer `workers` in compute.yaml need less"
        ) from None
