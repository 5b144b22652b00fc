"""Everything that a run downloads, ahead of time: the base model, what evaluators load, language models."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from versat2i import rewards
from versat2i.evaluate import score
from versat2i.models.pretrained import weights as pretrained
from versat2i.settings.params import Params
from versat2i.work import hub

DEPTH = 3  # of parts within parts of an evaluator: its VQA, that one's embedder, the weights of that


@dataclass(frozen=True)
class Need:
    """Something that a run loads.

    Attributes:
        name: what it is, for whoever waits.
        key: the same for what is the same.
        fetch: downloads what is not there yet.
    """

    name: str
    key: str
    fetch: Callable[[], None]


def needs(settings: Params) -> list[Need]:
    """What params name that is not on this machine as a folder, each once.

    Raises:
        ValueError: an evaluator or one of its options is unknown.
    """
    found = {need.key: need for need in [*_model(settings), *_evaluators(settings), *_writers(settings)]}
    return list(found.values())


def everything(settings: Params, note: Callable[[str], None]) -> int:
    """Download what params name.

    Args:
        settings: params.
        note: told the name of each before it is looked for.

    Returns:
        how many there are.

    Raises:
        ValueError: one cannot be downloaded, or the hub is switched off.
    """
    wanted = needs(settings)
    if wanted and hub.offline():
        raise ValueError(
            f"the hub is switched off (HF_HUB_OFFLINE), so {wanted[0].name} cannot be fetched. Say HF_HUB_OFFLINE=0"
        )
    for need in wanted:
        note(need.name)
        need.fetch()
    return len(wanted)


def _model(settings: Params) -> Iterator[Need]:
    model = settings.model
    if model.repo is None:
        return

    def fetch() -> None:
        from versat2i.models.diffusion import loading  # torch and diffusers take seconds to import

        loading.fetch(model, checker=settings.generate.safety == "drop")

    yield Need(f"model {model.repo} at revision {model.revision}", f"model {model.repo}@{model.revision}", fetch)


def _evaluators(settings: Params) -> Iterator[Need]:
    for aspect, evaluator in score.of_aspects(settings) + score.of_judges(settings):
        for part in _parts(rewards.from_params(aspect, evaluator)):
            if hasattr(part, "fetch") and getattr(part, "revision", "") is not None:  # a folder has None
                yield Need(f"{aspect} {evaluator.evaluator}: {part}", str(part), part.fetch)


def _writers(settings: Params) -> Iterator[Need]:
    """The language models that write prompts or ask about them."""
    for source in (*settings.prompts.train, *settings.prompts.dev, *settings.prompts.eval):
        for chosen in filter(None, (source.written, source.asked)):
            weights = pretrained.parse(chosen.model, chosen.dtype)
            if weights.revision is not None:
                yield Need(f"prompts: {weights}", str(weights), weights.fetch)


def _parts(thing: Any, depth: int = DEPTH) -> Iterator[Any]:
    """A reward, what it holds, and what that holds."""
    yield thing
    if depth:
        for value in getattr(thing, "__dict__", {}).values():
            if hasattr(value, "__dict__") and not isinstance(value, type):
                yield from _parts(value, depth - 1)
