"""A team's repository, and a server with its bucket behind a wire that counts."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import team
from servers import BUCKET, KEY, SECRET, Server, rclone
from wire import Wire


@pytest.fixture(scope="session")
def first_run(tmp_path_factory) -> team.Clone:
    """The repository after a whole run, before anything is shared."""
    clone = team.start(tmp_path_factory.mktemp("first") / "versat2i")
    clone.dvc("repro")
    clone.commit("first run")
    return clone


@contextmanager
def serving(server: Server) -> Iterator[Wire]:
    """The server with its bucket, behind a wire."""
    try:
        server.start()
        assert rclone(server, KEY, SECRET, "mkdir", f":s3:{BUCKET}")
        with Wire(server) as wire:
            yield wire
    finally:
        server.kill()


@pytest.fixture(scope="module")
def wire(request, tmp_path_factory) -> Iterator[Wire]:
    """The module's `SERVER`, started."""
    with serving(request.module.SERVER(tmp_path_factory.mktemp("server") / "data")) as wire:
        yield wire


@pytest.fixture(scope="module")
def lead(first_run, wire, tmp_path_factory) -> team.Clone:
    """Who ran the pipeline first and set the remote up, for others to clone; nothing is pushed yet."""
    root = tmp_path_factory.mktemp("lead") / "versat2i"
    shutil.copytree(first_run.root, root, symlinks=True)
    clone = team.Clone(root)
    clone.make("remote", f"URL={team.url()}", f"ENDPOINT={wire.endpoint}")
    clone.commit("where the team's data lies")
    return clone


@pytest.fixture
def clone(lead, tmp_path) -> Callable[..., team.Clone]:
    """``clone()``: a colleague's new clone, with an empty cache."""

    def make(name: str = "clone", keys: dict[str, str] | None = None) -> team.Clone:
        root: Path = tmp_path / name
        lead.run("git", "clone", "-q", str(lead.root), str(root))
        return team.Clone(root, keys)

    return make
