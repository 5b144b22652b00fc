"""Explain a model hub's refusals in one line that says what to do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def offline() -> bool:
    """Whether the hub is switched off on this machine, as its library reads the environment."""
    from huggingface_hub.constants import ENV_VARS_TRUE_VALUES  # not instant

    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ENV_VARS_TRUE_VALUES


@contextmanager
def progress() -> Iterator[None]:
    """Show progress bars of downloads while the context lasts."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = are_progress_bars_disabled()
    enable_progress_bars()
    try:
        yield
    finally:
        if before:
            disable_progress_bars()


def failures(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Exceptions that hub libraries raise for a repository or the way to it, and `more`."""
    from huggingface_hub import errors  # not instant

    return (OSError, errors.HTTPError, errors.EntryNotFoundError, errors.RevisionResolutionError, *more)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised from or while handling."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def reason(error: Exception, repo: str, revision: str | None) -> str | None:
    """Why a repository of the hub could not be loaded and what to do; None: the hub had no part in it.

    Args:
        error: what was raised, with what it was raised from: libraries wrap the hub's own errors.
        repo: the repository, ``owner/name``.
        revision: its pinned commit.
    """
    from huggingface_hub import errors  # not instant

    chain = list(_chain(error))

    def is_a(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    if is_a(errors.GatedRepoError):
        return (
            f"{repo} is gated: accept its licence on its page at the hub, then `hf auth login` or set HF_TOKEN to a "
            "token of that account"
        )
    if is_a(errors.RepositoryNotFoundError):
        return f"{repo} is not at the hub, or is private: mend its name, or set HF_TOKEN to a token that may read it"
    if is_a(errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision}: take a commit hash from the repository's page at the hub"
    if is_a(errors.RemoteEntryNotFoundError):
        return f"{repo} at revision {revision} lacks a file that this kind of model has: is it the right model?"
    if offline() and is_a(errors.OfflineModeIsEnabled, errors.EntryNotFoundError, errors.RevisionResolutionError):
        return (
            f"{repo} at revision {revision} was not downloaded before and the hub is switched off: run `make fetch` "
            "once with HF_HUB_OFFLINE=0"
        )
    answers = [link for link in chain if isinstance(link, errors.HfHubHTTPError)]
    if answers:
        return f"{repo}: the hub answered {answers[-1].response.status_code}: try again later, or check HF_TOKEN"
    if is_a(errors.HTTPError, errors.LocalEntryNotFoundError, errors.RevisionResolutionError, ConnectionError):
        return (
            f"{repo}: the hub cannot be reached: check the network, HF_ENDPOINT and proxy. What was downloaded before "
            "(`make fetch`) is used without it"
        )
    return None
