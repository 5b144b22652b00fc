"""A worker on a node of a cluster: checks that its code is the driver's, does units, sends what it made.

Nothing here imports Ray: `cluster` makes an actor of `Node`.
"""

import logging
import os
import pickle
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from versat2i.settings import environment
from versat2i.work import fingerprint, parcels, places, pool, store

EVERY = 2.0  # seconds between two looks for a new checkpoint


@dataclass(frozen=True)
class Terms:
    """What a worker must agree with before it does anything.

    Attributes:
        module: whose code, with all that it imports, makes the units: the stage's.
        code: its `fingerprint.digest` where the driver runs.
        versions: of packages that results depend on, there.
        folder: of the project, if all nodes see it; None: inputs and pieces are sent.
        work: VERSAT2I_WORK of the driver, where all nodes see the folder.
        token: a file that the driver wrote to the work store, to tell whether this node sees it.
    """

    module: str
    code: str
    versions: dict[str, str | None]
    folder: str | None = None
    work: str | None = None
    token: str | None = None


def terms(module: str, folder: str | None = None, token: str | None = None) -> Terms:
    """The terms of this process."""
    work = os.environ.get("VERSAT2I_WORK") if folder else None
    return Terms(module, fingerprint.digest(module), environment.installed(), folder, work, token)


@dataclass(frozen=True)
class Done:
    """What comes back of a unit.

    Attributes:
        result: pickled.
        pieces: what was put into the store on its way; empty where the driver sees it.
        said: warnings that were logged.
    """

    result: bytes
    pieces: list[parcels.Piece] = field(default_factory=list)
    said: list[tuple[str, int, str]] = field(default_factory=list)


class Node:
    """A worker, made once, which holds its model.

    Args:
        make: makes the worker, pickled.
        terms: of the driver.
        send: called with a checkpoint's path in the store and its bytes; returns once they have arrived.
    """

    def __init__(self, make: bytes, terms: Terms, send: Callable[[str, bytes], None] | None = None) -> None:
        self.make, self.terms = make, terms
        self.worker: Callable[[Any], Any] | None = None
        self.courier = Courier(send) if send else None

    def start(self) -> str:
        """Check the terms and go to where the work is.

        Returns:
            the host's name.

        Raises:
            ValueError: code or a version differs from the driver's, or the shared disk is not there.
        """
        host = socket.gethostname()
        ours = terms(self.terms.module)
        for name, wanted in self.terms.versions.items():
            if ours.versions.get(name) != wanted:
                raise ValueError(
                    f"node {host} has {name} {ours.versions.get(name)}, this machine {wanted}. Install the same "
                    "requirements.lock on every node"
                )
        if ours.code != self.terms.code:
            raise ValueError(
                f"node {host}: the code of {self.terms.module} at {fingerprint.ROOT} is not the one of this machine. "
                "Install the same commit on every node"
            )
        if self.terms.folder is None:
            os.environ.pop("VERSAT2I_WORK", None)
            os.chdir(tempfile.mkdtemp(prefix="versat2i-"))
        else:
            if self.terms.work is not None:
                os.environ["VERSAT2I_WORK"] = self.terms.work
            if not Path(self.terms.folder).is_dir():
                raise ValueError(f"node {host} sees no {self.terms.folder}; {UNSHARED}")
            os.chdir(self.terms.folder)
            if self.terms.token and not (places.home() / self.terms.token).is_file():
                raise ValueError(f"node {host} sees another work store at {places.home().absolute()}; {UNSHARED}")
        return host

    def ping(self) -> None:
        """Answer."""

    def take(self, content: bytes) -> None:
        """Keep an input: a pickled path, and what `parcels.pack` read of it."""
        path, sent = pickle.loads(content)
        parcels.unpack(sent, path)

    def work(self, task: bytes, *taken: None) -> Done:
        """Do a unit; `taken`: answers of `take` that Ray waits for."""
        with store.noting() as noted, _warnings() as said, self._sending():
            if self.worker is None:
                self.worker = pickle.loads(self.make)()
            result = pool.settled(self.worker(pickle.loads(task)))
        sent = parcels.pieces(noted) if self.terms.folder is None else []
        done = Done(parcels.dumps(result), sent, said)
        if self.terms.folder is None:  # a node's own store is no store: what it made is the driver's now
            for stage, key in dict.fromkeys(noted):
                store.Store(stage).drop(key)
        return done

    @contextmanager
    def _sending(self) -> Iterator[None]:
        if self.courier is None:
            yield
        else:
            with self.courier.at_work():
                yield


UNSHARED = "`shared_disk: true` of compute.yaml needs the same folder on every node. Set it to false"


class Courier:
    """Sends every new checkpoint in the work store while a unit is done."""

    def __init__(self, send: Callable[[str, bytes], None]) -> None:
        self.send = send
        self.sent: dict[Path, int] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        ended = threading.Event()
        home = places.home().absolute()

        def watch() -> None:
            while not ended.wait(EVERY):
                self.look(home)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()  # what is sent has arrived before the unit's result

    def look(self, home: Path) -> None:
        """Send checkpoints that changed since the last look."""
        for path in sorted(home.glob("*/*.pt")):
            try:
                changed, data = path.stat().st_mtime_ns, path.read_bytes()
            except FileNotFoundError:  # the training is done
                continue
            if self.sent.get(path) != changed:
                self.send(path.relative_to(home).as_posix(), data)
                self.sent[path] = changed


@contextmanager
def _warnings() -> Iterator[list[tuple[str, int, str]]]:
    """Yield a list that gets name, level and text of each warning that the package logs within the block."""
    said: list[tuple[str, int, str]] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.name, record.levelno, record.getMessage()))

    note = Note(logging.WARNING)
    logging.getLogger("versat2i").addHandler(note)
    try:
        yield said
    finally:
        logging.getLogger("versat2i").removeHandler(note)
