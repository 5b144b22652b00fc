"""Evaluators by name. Nothing is imported before it is asked for.

Each aspect is a folder beside this file whose `EVALUATORS` maps a name to ``module:callable``, so a
new evaluator touches its own folder only. A name that ends in a colon is a family: ``pyiqa:`` makes
``pyiqa:musiq`` by giving its callable ``musiq``. Other packages add theirs by the entry-point group
``versat2i.rewards``: the name is ``aspect.evaluator``, the value ``module:callable``.
"""

import inspect
import math
import pkgutil
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from versat2i.formats.measures import Measure
from versat2i.rewards.common.base import Reward
from versat2i.rewards.common.isolated import Isolated
from versat2i.rewards.common.isolated_worker import GROUP, expect_contract
from versat2i.settings.compute import CPU, NOWHERE, Compute, Server
from versat2i.settings.params import Reward as Chosen

CONTROL = "random"  # the evaluator that every aspect has


def _built_in() -> list[EntryPoint]:
    folders = pkgutil.iter_modules([str(Path(__file__).parents[1])])
    aspects = [folder.name for folder in folders if folder.ispkg and folder.name != "common"]
    return [
        EntryPoint(f"{aspect}.{name}", target, GROUP)
        for aspect in aspects
        for name, target in import_module(f"versat2i.rewards.{aspect}").EVALUATORS.items()
    ]


def _registered() -> dict[tuple[str, str], EntryPoint]:
    """Every evaluator by aspect and name."""
    found: dict[tuple[str, str], EntryPoint] = {}
    for point in [*_built_in(), *entry_points(group=GROUP)]:
        aspect, _, evaluator = point.name.partition(".")
        if not aspect or not evaluator:
            raise ValueError(f"{GROUP}: entry point {point.name!r} ({point.value}) is not 'aspect.evaluator'")
        if (aspect, evaluator) in found:
            other = found[aspect, evaluator].value
            raise ValueError(f"two evaluators are called {point.name!r}: {other} and {point.value}. Rename one")
        found[aspect, evaluator] = point
    control = found["control", CONTROL]
    return {**{(aspect, CONTROL): control for aspect, _ in found}, **found}


def unknown(what: str, name: str, known: Collection[str]) -> ValueError:
    """The error for a name that is not known, with those that are close, else with all."""
    close = get_close_matches(name, known, n=3)
    advice = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"Known: {', '.join(sorted(known))}"
    return ValueError(f"{what} {name!r} does not exist. {advice}")


def _import(point: EntryPoint) -> Callable[..., Any]:
    """Import what an entry point names.

    Raises:
        ValueError: it cannot be imported.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        if isinstance(error, ImportError) and (error.name or "").startswith("versat2i."):
            raise ValueError(
                f"{point.name}: {point.value} was written for another version ({error.msg}). An evaluator takes images "
                "and prompts and returns a list: docs/rewards.md, Write your own"
            ) from error
        raise ValueError(f"{point.name}: {point.value} cannot be imported ({error}). Is it installed?") from error


def _options(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters that a callable takes by name."""
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def required(factory: Callable[..., Any]) -> list[str]:
    """The options that an evaluator cannot be made without."""
    return [name for name, parameter in _options(factory).items() if parameter.default is parameter.empty]


def create(
    point: EntryPoint,
    options: Mapping[str, Any],
    device: str | Callable[[], str],
    servers: Mapping[str, Server] = NOWHERE,
) -> Any:
    """Import what an entry point names and call it.

    Args:
        point: what to make.
        options: what it is made with.
        device: given to it where it takes a ``device``; a callable is asked only then, since it may import torch.
        servers: given to it where it takes ``servers``.

    Raises:
        ValueError: it cannot be imported, or an option is missing or not one of its own, named.
    """
    factory = _import(point)
    named = _options(factory)
    if not any(p.kind == p.VAR_KEYWORD for p in inspect.signature(factory).parameters.values()):
        for name in options:
            if name not in named:
                raise unknown(f"{point.name}: option", name, named or ["(it has none)"])
    for name in required(factory):
        if name not in options:
            raise ValueError(f"{point.name}: option {name!r} is missing")
    given: dict[str, Any] = {}
    if "device" in named and "device" not in options:
        given["device"] = device if isinstance(device, str) else device()
    if "servers" in named and "servers" not in options:
        given["servers"] = servers
    return factory(**options, **given)


def catalogue() -> list[tuple[str, str]]:
    """Every aspect with every evaluator it has, sorted."""
    return sorted(_registered())


def factory(aspect: str, evaluator: str) -> Callable[..., Reward]:
    """Return the class or function that builds an evaluator of `catalogue`: its licence is read without options.

    Raises:
        ValueError: it cannot be imported.
    """
    return _import(_registered()[aspect, evaluator])


def from_params(aspect: str, chosen: Chosen, machine: Compute = CPU) -> Reward:
    """The evaluator that params name for an aspect, with its options; see `load`.

    Args:
        aspect: its folder.
        chosen: the evaluator. One with an environment of its own runs there: `isolated`.
        machine: the device, where environments lie and models are served.

    Raises:
        ValueError: as `load`, or params name a device or servers.
    """
    for option in ("device", "servers"):
        if option in chosen.options:
            raise ValueError(
                f"{aspect}.{chosen.evaluator}: option {option!r} differs between machines. Say it in compute.yaml"
            )
    point, named = _find(aspect, chosen.evaluator)
    if chosen.environment is None:
        return _made(point, {**chosen.options, **named}, machine.torch_device, machine.servers)
    return Isolated(_import(point), aspect, chosen.evaluator, chosen.environment, chosen.options, machine)


def _made(
    point: EntryPoint,
    options: Mapping[str, Any],
    device: str | Callable[[], str],
    servers: Mapping[str, Server] = NOWHERE,
) -> Reward:
    reward = create(point, options, device, servers)
    expect_contract(reward, point.name)
    return reward


def measure(aspect: str, chosen: Chosen, *, selects: bool = True) -> Measure:
    """Describe the scores of the evaluator that params name.

    Args:
        aspect: its folder.
        chosen: the evaluator.
        selects: whether it picks the aspect's candidates; a judge does not.
    """
    reward = from_params(aspect, chosen)
    low, high = (float(end) if math.isfinite(end) else None for end in reward.range)
    return Measure(
        metric=reward.metric,
        evaluator=reward.name,
        licence=reward.licence,
        higher_is_better=reward.higher_is_better,
        range=(low, high),
        aspect=aspect if selects else None,
    )


def _find(aspect: str, evaluator: str) -> tuple[EntryPoint, dict[str, str]]:
    """Find the entry point of an evaluator, and the options that its name implies.

    Raises:
        ValueError: the aspect or the evaluator is not known; close ones are named.
    """
    registered = _registered()
    if evaluator == CONTROL:
        return registered.get((aspect, CONTROL), registered["control", CONTROL]), {}
    evaluators = {name for known, name in registered if known == aspect}
    if not evaluators:
        raise unknown("aspect", aspect, {known for known, _ in registered})
    family, colon, member = evaluator.partition(":")
    if colon and f"{family}:" in evaluators:
        return registered[aspect, f"{family}:"], {"metric": member}
    if evaluator not in evaluators:
        raise unknown(f"{aspect}: evaluator", evaluator, evaluators)
    return registered[aspect, evaluator], {}


def load(aspect: str, evaluator: str, **options: Any) -> Reward:
    """An evaluator of an aspect, on the CPU where no ``device`` is among the options.

    The control `random` judges any aspect, also one that has no other evaluator.

    Args:
        aspect: e.g. ``"faithfulness"``.
        evaluator: e.g. ``"tifa"`` or ``"pyiqa:musiq"``; `catalogue` lists them, of families the name
            with its colon.
        options: what the evaluator takes, e.g. ``vqa="shapes"``.

    Raises:
        ValueError: the aspect, the evaluator or an option is not known; close ones are named.
    """
    point, named = _find(aspect, evaluator)
    return _made(point, {**options, **named}, "cpu")
