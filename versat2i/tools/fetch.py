"""Everything that a run downloads, ahead of time: the base model, what evaluators load, language models."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from versat2i import rewards
from versat2i.evaluate import score
from versat2i.models.pretrained import weights as pretrained
from versat2i.rewards.common.base import weights_of
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params
from versat2i.work import hub


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


def needs(settings: Params, machine: Compute) -> list[Need]:
    """List what params name and this machine does not have as a folder, each once.

    Raises:
        ValueError: an evaluator or one of its options is unknown.
    """
    found = {need.key: need for need in [*_model(settings), *_evaluators(settings, machine), *_writers(settings)]}
    return list(found.values())


def everything(settings: Params, machine: Compute, note: Callable[[str], None]) -> int:
    """Download what params name.

    Args:
        settings: params.
        machine: where evaluators with an environment of their own lie.
        note: told the name of each before it is looked for.

    Returns:
        how many there are.

    Raises:
        ValueError: one cannot be downloaded, or the hub is switched off.
    """
    wanted = needs(settings, machine)
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
    place, revision = model.place
    if revision is None:
        return

    def fetch() -> None:
        from versat2i.models.diffusion import loading  # torch and diffusers take seconds to import

        loading.fetch(model, checker=settings.generate.safety == "drop")

    yield Need(f"model {place} at revision {revision}", f"model {place}@{revision}", fetch)


def _evaluators(settings: Params, machine: Compute) -> Iterator[Need]:
    scored = [(aspect, settings.rewards[aspect]) for aspect in settings.scored]
    for aspect, evaluator in scored + score.of_judges(settings):
        for weights in weights_of(rewards.from_params(aspect, evaluator, machine)):
            if weights.remote:
                yield Need(f"{aspect} {evaluator.evaluator}: {weights}", str(weights), weights.fetch)


def _writers(settings: Params) -> Iterator[Need]:
    """The models that write prompts, ask about them or refuse them."""
    for source in (*settings.prompts.train, *settings.prompts.dev, *settings.prompts.eval):
        classifier = source.refuse.classifier if source.refuse else None
        named = [(chosen.model, chosen.dtype) for chosen in (source.written, source.asked) if chosen]
        named += [(classifier.model, classifier.dtype)] if classifier else []
        for model, dtype in named:
            weights = pretrained.parse(model, dtype)
            if weights.remote:
                yield Need(f"prompts: {weights}", str(weights), weights.fetch)
