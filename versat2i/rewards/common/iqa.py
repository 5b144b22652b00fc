"""Any metric of pyiqa that judges an image by itself, called ``pyiqa:<its name there>``."""

import os
import re
import runpy
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from math import isfinite
from multiprocessing import get_context
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import Images, Prompt, Verdicts, batches
from versat2i.rewards.common.registry import unknown

LICENCE = "pyiqa: PolyForm-Noncommercial-1.0.0, in part S-Lab-1.0 (non-commercial)"
NO_VALUE = "the metric has no value for it: its colours may hardly differ"
PACKAGES = {"pkg_resources": "pkg_resources (it is in setuptools<81)"}  # by what they are imported as
_NOT_BY_ITSELF = {
    "FID": "compares sets of images",
    "InceptionScore": "judges a set of images",
    "CLIPScore": "needs a text; use faithfulness: clipscore",
}


@cache
def _configs() -> dict[str, dict[str, Any]]:
    """Read pyiqa's table of metrics without importing pyiqa, which takes seconds."""
    package = find_spec("pyiqa")
    if package is None or not package.submodule_search_locations:
        raise ValueError("the evaluators pyiqa:* need pyiqa, which is not installed: run `make setup`")
    return runpy.run_path(str(Path(package.submodule_search_locations[0]) / "default_model_configs.py"))[
        "DEFAULT_CONFIGS"
    ]


def _why_not(config: dict[str, Any]) -> str | None:
    """Why a metric cannot judge one image by itself, or None: it can."""
    if config["metric_mode"] != "NR":
        return "compares an image with a reference"
    return _NOT_BY_ITSELF.get(config["metric_opts"]["type"])


def names() -> list[str]:
    """The metrics of pyiqa that judge an image by itself, sorted."""
    return sorted(name for name, config in _configs().items() if _why_not(config) is None)


def _config(metric: str) -> dict[str, Any]:
    if metric not in _configs():
        raise unknown("pyiqa metric", metric, names())
    config = _configs()[metric]
    if reason := _why_not(config):
        raise ValueError(f"pyiqa metric {metric!r} {reason}; a reward sees one image. Known: {', '.join(names())}")
    return config


def _import(metric: str) -> None:
    """Import the module of pyiqa that holds a metric, and no other.

    pyiqa guesses its name, and where that fails it imports all of them: one replaces the attention of transformers'
    Llama, so that a LLaVA that is loaded later cannot be built.

    Raises:
        ImportError: it needs a package that is not installed.
    """
    archs = Path(str(find_spec("pyiqa.archs").submodule_search_locations[0]))  # type: ignore[union-attr,index]
    holds = re.compile(rf"^class {_configs()[metric]['metric_opts']['type']}\b", re.MULTILINE)
    for path in sorted(archs.glob("*_arch.py")):
        if holds.search(path.read_text(encoding="utf-8")):
            import_module(f"pyiqa.archs.{path.stem}")
            return


def lacks(metric: str) -> str | None:
    """The package that pyiqa cannot import to build a metric here, or None: it has all that it needs.

    Args:
        metric: one of `names`.
    """
    try:
        _import(metric)
    except ImportError as error:
        return _package(error)
    return None


def lacking() -> dict[str, str | None]:
    """`lacks` of each of `names`, in a process of its own: some modules of pyiqa change transformers for good.

    Raises:
        ValueError: pyiqa is not installed.
    """
    known = names()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return dict(zip(known, process.map(lacks, known), strict=True))


def _package(error: ImportError) -> str:
    return PACKAGES.get(error.name or "", error.name or str(error))


def bounds(text: str) -> tuple[float, float]:
    """A range as pyiqa writes it: ``"~0, ~100"`` is (0, 100), ``"~0, ~"`` has no upper end.

    Its "~" marks an end as rough: scores may lie a little outside.
    """
    low, high = (end.strip().removeprefix("~") for end in text.split(","))
    return float(low or "-inf"), float(high or "inf")


@contextmanager
def _only_weights() -> Iterator[None]:
    """Unpickle nothing but tensors meanwhile: pyiqa's own calls would run whatever a file says."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class NoValue(ValueError):
    """The statistics that a metric takes of an image have no solution."""


class Metric:
    """A metric of pyiqa, with the direction and the range that pyiqa gives for it."""

    licence = f"{LICENCE}; its weights: as their authors say"

    def __init__(
        self, metric: str, batch_size: int = 1, call: dict[str, Any] | None = None, device: str = "cpu"
    ) -> None:
        """Make one.

        Args:
            metric: its name in pyiqa, e.g. ``musiq``.
            batch_size: images at once; some metrics take one only.
            call: what the metric is called with besides images, e.g. ``{task_: aesthetic}`` for ``qalign``.
            device: to compute on.
        """
        config = _config(metric)
        self.name, self.metric = f"pyiqa:{metric}", metric
        self.higher_is_better = not config.get("lower_better", False)
        self.range = bounds(config["score_range"])
        self.batch_size, self.call, self._device = batch_size, dict(call or {}), device

    @property
    def weights(self) -> "list[Loaded]":
        """Made when asked for: an evaluator that held it would hold itself, and leave memory late."""
        return [Loaded(self)]

    @cached_property
    def model(self) -> Any:
        """pyiqa's own, with its weights."""
        import pyiqa  # heavy

        try:
            with _only_weights():
                _import(self.metric)
                return pyiqa.create_metric(self.metric, device=self._device)
        except ImportError as error:
            raise ValueError(
                f"{self.name}: needs the package {_package(error)}, which is not installed. Install it, or take "
                "another metric: `versat2i rewards` lists those that work here"
            ) from None
        except (OSError, RuntimeError, UnpicklingError) as error:
            raise ValueError(
                f"{self.name}: pyiqa cannot load it ({' '.join(str(error).split())[:300]}). Weights are downloaded "
                "to torch's hub folder when first used, and those that are more than tensors are refused"
            ) from None

    def values(self, images: Images) -> NDArray[np.float64]:
        """The metric's value of each image, ``float64 [batch]``."""
        import torch  # heavy

        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2) / 255
        model = self.model
        try:
            found = model(pixels, **self.call)
        except torch.linalg.LinAlgError as error:
            raise NoValue(f"{self.name}: {error}") from None
        except (RuntimeError, AssertionError, TypeError) as error:
            height, width = images.shape[1:3]
            raise ValueError(
                f"{self.name}: cannot judge {len(images)} images of {width}x{height} pixels at once "
                f"({' '.join(str(error).split())[:300]}). Try batch_size: 1, or another metric"
            ) from None
        return np.asarray(found.detach().double().cpu()).reshape(len(images))

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [verdict for some, _ in batches(self.batch_size, images, prompts) for verdict in self._verdicts(some)]

    def _verdicts(self, images: Images) -> Verdicts:
        """Values, or `NO_VALUE` of an image whose statistics have none, such as NIQE's of nearly one colour."""
        try:
            found = self.values(images)
        except NoValue:
            if len(images) == 1:
                return [NO_VALUE]
            return [verdict for image in images for verdict in self._verdicts(image[None])]
        return [value if isfinite(value) else NO_VALUE for value in found.tolist()]


@dataclass(frozen=True)
class Loaded:
    """Weights that pyiqa downloads when it builds a metric; pyiqa's version decides which."""

    metric: Metric
    remote = True

    def __str__(self) -> str:
        return f"weights of {self.identity}"

    @property
    def identity(self) -> str:
        return self.metric.name

    def fetch(self) -> None:
        _ = self.metric.model
