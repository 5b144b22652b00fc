"""Run a reward in a Python environment of its own over a pipe: for evaluators whose versions clash with ours.

The other side is `isolated_worker`; what is said is in docs/rewards.md, "An environment of its own".
"""

import json
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from versat2i.rewards.common import isolated_worker, locks
from versat2i.rewards.common.base import Explained, Images, Prompt, Verdicts, is_grouped
from versat2i.settings.compute import Compute
from versat2i.settings.params import Environment
from versat2i.work import files

PYTHONS = ("bin/python", "Scripts/python.exe", "python.exe")  # of a venv, of one on Windows, of conda's there
PATIENCE = 10.0  # seconds in which a process must end once it is asked nothing more


def python_of(environment: Environment, machine: Compute) -> Path:
    """The interpreter of an environment on this machine.

    Raises:
        ValueError: compute.yaml does not say where it lies, or it does not lie there.
    """
    name = environment.name
    place = machine.environments.get(name)
    if place is None:
        raise ValueError(
            f"compute.yaml: environments has no {name!r}. Make that environment from {environment.lock} and say where "
            f"it lies on this machine, e.g. `environments: {{{name}: /opt/{name}}}`"
        )
    found = [Path(place) / python for python in PYTHONS if (Path(place) / python).is_file()]
    if not found:
        raise ValueError(
            f"compute.yaml: environments.{name} is {place}, where there is no Python ({' or '.join(PYTHONS)}). "
            f"Make that environment from {environment.lock}"
        )
    return found[0].absolute()  # not resolved: a venv is known by the link's own place


def _end(process: subprocess.Popen, log: IO[bytes]) -> None:
    """Let a process end, or end it; its model goes with it."""
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # it is gone already, with something still unsaid
            cast(IO[bytes], pipe).close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()


class Process:
    """An evaluator at work in another environment."""

    def __init__(self, environment: Environment, label: str, machine: Compute) -> None:
        """Start it.

        Args:
            environment: where.
            label: begins every error.
            machine: where environments lie.

        Raises:
            ValueError: the environment is not on this machine, or its Python cannot be run.
        """
        self._label = label
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        # isolated mode: no PYTHONPATH of ours, nor the worker's own folder, may lend it modules
        command = [str(python_of(environment, machine)), "-I", isolated_worker.__file__]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)
        except OSError as error:
            raise ValueError(f"{label}: {command[0]} cannot be run ({error.strerror})") from None
        self._requests, self._answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._stop = weakref.finalize(self, _end, self._process, self._log)

    @property
    def ended(self) -> bool:
        """Whether it cannot be asked any more."""
        return not self._stop.alive

    def _last_line(self) -> str:
        """The last line of what it wrote to standard error."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")

    def _failure(self, what: str) -> ValueError:
        """The error for a process that cannot be spoken to any more."""
        self._process.kill()
        self._process.wait()
        last = self._last_line()
        self._stop()
        return ValueError(f"{self._label}: {what}; its last words: {last}")

    def ask(self, request: Mapping[str, Any], pixels: bytes = b"") -> dict[str, Any]:
        """Say one line, with pixels behind it, and read the line that answers it.

        Raises:
            ValueError: the process is dead, answers something else, or answers with an error.
        """
        try:
            self._requests.write(json.dumps(request).encode() + b"\n" + pixels)
            self._requests.flush()
            line = self._answers.readline()
        except OSError:  # nobody reads any more
            line = b""
        if not line:
            raise self._failure(f"the process ended with {self._process.wait()}")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._failure(f"answered {line[:80].decode(errors='replace').strip()!r}, expected a JSON object")
        if "error" in answer:
            raise ValueError(f"{self._label}: {answer['error']}")
        return answer


class Isolated:
    """An evaluator that this installation knows by its class, at work in another environment.

    The process starts with the first image that is scored and ends with this object.
    """

    def __init__(
        self,
        kind: Any,
        aspect: str,
        evaluator: str,
        environment: Environment,
        options: Mapping[str, Any],
        machine: Compute,
    ) -> None:
        """Make one; nothing is started.

        Args:
            kind: the evaluator's class here, for its attributes: `Reward`'s five.
            aspect: e.g. ``low_level``.
            evaluator: its name.
            environment: where it runs.
            options: what it is made with there, besides ``device``.
            machine: the device, and where environments lie.
        """
        self._label = f"{aspect}.{evaluator} in environment {environment.name!r}"
        if lacking := [name for name in isolated_worker.SAID if not hasattr(kind, name)]:
            raise ValueError(f"{self._label}: its class here does not say its {', '.join(lacking)}, which it must")
        self.modules = (str(kind.__module__),)  # whose code the other environment runs too
        self.name, self.metric, self.licence = kind.name, kind.metric, kind.licence
        self.higher_is_better: bool = kind.higher_is_better
        self.range: tuple[float, float] = kind.range
        self.grouped, self._machine = is_grouped(kind), machine
        self._aspect, self._evaluator, self._environment, self._options = aspect, evaluator, environment, dict(options)

    @property
    def weights(self) -> "list[Isolated]":
        return [self]

    remote = True

    @property
    def identity(self) -> str:
        """A hash of the lock file and of every folder that an option names.

        Raises:
            ValueError: the lock file is not there.
        """
        lock = Path(self._environment.lock)
        locks.read(lock)
        folders = [Path(value) for value in self._options.values() if isinstance(value, str) and Path(value).is_dir()]
        return " ".join([files.file_hash(lock), *(files.folder_hash(folder) for folder in folders)])

    @cached_property
    def _process(self) -> Process:
        """The process, once it has shown that it is what params say."""
        pins = locks.read(Path(self._environment.lock))
        process = Process(self._environment, self._label, self._machine)
        device = self._machine.torch_device()
        if device.startswith("cuda"):
            import torch  # heavy

            torch.cuda.empty_cache()  # what earlier models held of the memory is free for the other process
        options = {**self._options, "device": device}
        said = process.ask({"aspect": self._aspect, "evaluator": self._evaluator, "options": options})
        if problem := self._problem(said, pins):
            raise ValueError(f"{self._label}: {problem}")
        return process

    def _problem(self, said: dict[str, Any], pins: list[locks.Pin]) -> str | None:
        """Why an evaluator that has introduced itself is not the one that params name, or None: it is."""
        if said.get("protocol") != isolated_worker.PROTOCOL:
            return f"speaks protocol {said.get('protocol')!r}, expected {isolated_worker.PROTOCOL}"
        if difference := locks.difference(pins, said["installed"]):
            lock = self._environment.lock
            return f"{lock} and what is installed there differ: {difference}. Make the environment from it again"
        for name, expected in (("metric", self.metric), ("higher_is_better", self.higher_is_better)):
            if said[name] != expected:
                return f"its {name} there is {said[name]!r}, here {expected!r}. Install the same version in both"
        if tuple(said["range"]) != tuple(self.range):
            return f"its range there is {said['range']}, here {list(self.range)}. Install the same version in both"
        return None

    def __str__(self) -> str:
        return self._label

    def fetch(self) -> None:
        """Have it download what it loads, where its class there has a method `fetch` as evaluators here do."""
        self._process.ask({"fetch": True})

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        request = {"images": list(images.shape), "prompts": [vars(prompt) for prompt in prompts]}
        if "_process" in vars(self) and self._process.ended:
            del self._process  # the next one may live longer
        answer = self._process.ask(request, np.ascontiguousarray(images).tobytes())
        found, details = answer["scores"], answer["details"]
        if len(found) != len(images):
            raise ValueError(f"{self._label}: {len(found)} scores for {len(images)} images; expected one each")
        return [
            each if detail is None else Explained(each, detail) for each, detail in zip(found, details, strict=True)
        ]
