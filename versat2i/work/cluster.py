"""Share units of work out among the nodes of a Ray cluster; results come in order, and only the driver keeps them."""

import contextlib
import logging
import math
import os
import pickle
import secrets
import signal
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from versat2i.settings.compute import Cluster, Compute
from versat2i.work import files, node, parcels, places, store

logger = logging.getLogger(__name__)

LOCAL = "VERSAT2I_RAY"  # where `make repro` tells its stages which Ray of this machine they share
STRIKES = 3  # workers that a unit may kill
AHEAD = 2  # units a worker may be ahead of the result that is waited for, whose bytes are held
LOOK = 1.0  # seconds between two looks at the cluster
PATIENCE = 10.0  # seconds without a worker, or without the head, until that is said
BUSY = (
    120.0  # seconds without a worker though there are nodes for it, on which others may be at work, until that is said
)
GRACE = 30.0  # seconds until Ray knows why a worker cannot be reached
KEPT = 32  # inputs that stay in the object store for the next unit

Reads = Callable[[Any], Sequence[Path]]


def _ray() -> Any:
    """Ray's module.

    Raises:
        ValueError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise ValueError(
            "compute.yaml: engine: ray needs a package that is not installed; run `make ray`, or "
            "please install versat2i[ray]"
        ) from None
    return ray


def address_of(settings: Cluster) -> str:
    """Where the cluster's head is: ``host:port``, or ``local`` for a Ray to be started here."""
    return settings.address or os.environ.get(LOCAL) or os.environ.get("RAY_ADDRESS") or "local"


def is_shared(settings: Cluster) -> bool:
    """Whether workers see this machine's disk: by `shared_disk`, or because the cluster is this machine."""
    alone = settings.address is None and (LOCAL in os.environ or "RAY_ADDRESS" not in os.environ)
    return settings.shared_disk or alone


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except (OSError, ValueError):
        return False


@contextmanager
def connected(settings: Cluster) -> Iterator[str]:
    """Join the cluster for the block, or start a Ray of this machine; yields its address.

    Raises:
        ValueError: Ray is not installed, or nothing answers at the address.
    """
    ray = _ray()
    address = address_of(settings)
    if ray.is_initialized():
        yield ray.get_runtime_context().gcs_address
        return
    if address not in ("local", "auto") and not _answers(address):
        raise ValueError(
            f"compute.yaml: ray.address is {address}, but no Ray answers there. Start one by `ray start --head`, "
            "or leave the address out to use this machine alone"
        )
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        context = ray.init(
            address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": _variables()}, **own
        )
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        raise ValueError(f"compute.yaml: Ray at {address}: {' '.join(str(error).split())[:400]}") from None
    finally:
        for number, handler in before.items():  # Ray sets its own
            with contextlib.suppress(ValueError):  # not the main thread, where Ray sets none
                signal.signal(number, handler)
    found = context.address_info["gcs_address"]
    try:
        yield found
    finally:
        if _answers(found):
            ray.shutdown()


def _variables() -> dict[str, str]:
    """What workers are told of this process's environment: as many threads, so that sums are the same to the bit.

    No token: Ray shows these to whoever looks at the cluster.
    """
    told = {
        name: value for name, value in os.environ.items() if name.startswith(("HF_", "OMP_")) and "TOKEN" not in name
    }
    return {"OMP_NUM_THREADS": str(os.cpu_count() or 1), **told}


@dataclass(frozen=True)
class Seen:
    """A node of the cluster: its host, and how much it has of each resource."""

    host: str
    resources: dict[str, float]


def nodes() -> list[Seen]:
    """The nodes that are alive, of the cluster that this process is `connected` to."""
    return [Seen(each["NodeManagerHostname"], each["Resources"]) for each in _ray().nodes() if each["Alive"]]


def need(machine: Compute, found: Sequence[Seen]) -> dict[str, float]:
    """CPUs and GPUs of a worker, `auto` resolved by what the cluster has."""
    gpus = machine.ray.gpus
    if gpus == "auto":
        gpus = float(machine.device != "cpu" and any(each.resources.get("GPU", 0) > 0 for each in found))
    return {"CPU": machine.ray.cpus, "GPU": gpus}


def room(machine: Compute, found: Sequence[Seen]) -> int:
    """Workers that nodes have room for, were nothing else at work."""
    wanted = {name: amount for name, amount in need(machine, found).items() if amount > 0}
    return sum(
        min(math.floor(each.resources.get(name, 0) / amount + 1e-9) for name, amount in wanted.items())
        for each in found
    )


def run(
    make: Callable[[], Callable], tasks: Sequence[Any], machine: Compute, stage: str, reads: Reads | None = None
) -> Iterator[Any]:
    """Work on units; results in their order. What is in the work store is found there, and never sent.

    Args:
        make: makes the worker; picklable.
        tasks: what each call of the worker is given.
        machine: the cluster, and what a worker gets of it.
        stage: whose work it is, for messages, and whose code nodes must have.
        reads: the files and folders a unit reads; a relative path is sent where the disk is not shared.

    Raises:
        ValueError: see `Crew`; else whatever a worker raises.
    """
    own = make() if tasks else None
    ready: dict[int, Any] = {}
    with contextlib.ExitStack() as stack:
        crew: Crew | None = None
        looked = 0
        for given in range(len(tasks)):
            while given not in ready:
                while looked < len(tasks) and (looked <= given or (crew is not None and crew.has_room(looked - given))):
                    task, looked = tasks[looked], looked + 1
                    try:
                        with store.finding():
                            ready[looked - 1] = own(task)  # type: ignore[misc]
                    except store.NotMade:
                        crew = crew or stack.enter_context(_crew(make, machine, stage))
                        crew.add(looked - 1, task, reads(task) if reads else ())
                    if given in ready:
                        break
                if crew is not None and given not in ready:
                    ready.update(crew.step(len(tasks) - looked))
            yield ready.pop(given)


@contextmanager
def _crew(make: Callable[[], Callable], machine: Compute, stage: str) -> Iterator["Crew"]:
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(connected(machine.ray))
        folder = token = None
        if is_shared(machine.ray):
            folder, token = str(Path.cwd()), f".node-{secrets.token_hex(8)}"
            places.home().mkdir(parents=True, exist_ok=True)
            path = (places.home() / token).absolute()
            path.touch()
            stack.callback(path.unlink, missing_ok=True)
        terms = node.terms(f"stages.{stage.partition('@')[0]}", folder, token)
        crew = Crew(address, parcels.dumps(make), machine, stage, terms)
        stack.callback(crew.close)
        yield crew


class Mailbox:
    """Holds the newest checkpoint of each name that workers sent, until the driver takes them."""

    def __init__(self) -> None:
        self.newest: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> None:
        self.newest[name] = data

    def take(self) -> dict[str, bytes]:
        taken, self.newest = self.newest, {}
        return taken


def _send(mailbox: Any, name: str, data: bytes) -> None:
    ray = _ray()
    ray.get(mailbox.put.remote(name, data))


@dataclass
class Unit:
    """A unit that is not done: its place in the order, what its worker is given, and how often that killed one."""

    index: int
    task: Any
    reads: Sequence[Path]
    strikes: int = 0

    @property
    def name(self) -> str:
        if isinstance(self.task, tuple):
            return ", ".join(map(str, self.task))
        return str(getattr(self.task, "name", self.task))


@dataclass(eq=False)
class Hand:
    """A worker: its actor, the answer that is waited for, the unit it is at, the inputs it was sent."""

    actor: Any
    answer: Any
    unit: Unit | None = None
    has: set[str] = field(default_factory=set)
    started: bool = False


class Crew:
    """The workers of a stage on a cluster.

    A worker is replaced when it or its node is lost, and its unit done again. A worker that has nothing to do is given
    back at once, so that another stage gets its room.

    Raises, from `step`:
        ValueError: a unit killed `STRIKES` workers, a node's code or versions differ, workers do not start, or the
            head is lost.
    """

    def __init__(self, address: str, make: bytes, machine: Compute, stage: str, terms: node.Terms) -> None:
        ray = _ray()
        self.address, self.machine, self.stage, self.terms = address, machine, stage, terms
        self.waiting: deque[Unit] = deque()
        self.hands: list[Hand] = []
        self.inputs: OrderedDict[str, Any] = OrderedDict()
        self.room, self.looked, self.head_seen = 1, 0.0, time.monotonic()
        self.idle_since, self.told, self.failed = time.monotonic(), False, 0
        self.make = ray.put(make)
        self.mailbox = None
        if terms.folder is None:
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=False
            )
            self.mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self._look()

    def has_room(self, ahead: int) -> bool:
        """Whether one more unit may be added, that many ahead of the one whose result is waited for."""
        return ahead < AHEAD * self.room + 1

    def add(self, index: int, task: Any, reads: Sequence[Path]) -> None:
        """One more unit."""
        self.waiting.append(Unit(index, task, reads))

    def step(self, more: int) -> dict[int, Any]:
        """Hand units to workers and wait a moment.

        Args:
            more: how many units may still be added.

        Returns:
            results that have come, by the index of their units.
        """
        ray = _ray()
        self._look()
        self._hire()
        results = {}
        answers = {hand.answer: hand for hand in self.hands if hand.answer is not None}
        if answers:
            ray.wait(list(answers), timeout=LOOK)  # for one
        else:
            time.sleep(LOOK)
        for answer in ray.wait(list(answers), num_returns=len(answers), timeout=0)[0] if answers else []:
            hand = answers[answer]
            try:
                found = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            except ray.exceptions.RayError as error:
                self._lost(hand, error)
                continue
            hand.answer = None
            if hand.unit is None:
                hand.started, self.failed = True, 0
            else:
                unit, hand.unit = hand.unit, None
                results[unit.index] = self._keep(unit, found)
        self._checkpoints()
        for hand in [hand for hand in self.hands if hand.answer is None]:
            if self.waiting:
                self._give(hand, self.waiting.popleft())
            elif not more:
                self._dismiss(hand)
        self._tell()
        return results

    def close(self) -> None:
        """Give the cluster back what the workers had of it."""
        if _answers(self.address):
            for hand in list(self.hands):
                self._dismiss(hand)

    def _look(self) -> None:
        """See how many workers have room, and whether the head is there."""
        now = time.monotonic()
        if now - self.looked < LOOK:
            return
        self.looked = now
        if _answers(self.address):
            self.head_seen = now
            self.found = nodes()
            self.room = room(self.machine, self.found)
        elif now - self.head_seen > PATIENCE:
            raise ValueError(
                f"{self.stage}: the head of the Ray cluster at {self.address} is lost. What is finished is kept; start "
                "the cluster and run again to go on from there"
            )

    def _hire(self) -> None:
        most = self.room if self.machine.workers == "auto" else self.machine.workers
        working = sum(hand.unit is not None for hand in self.hands)
        wanted = min(most, working + len(self.waiting))
        ray = _ray()
        wants = need(self.machine, self.found)
        while len(self.hands) < max(wanted, 1 if self.waiting else 0):
            actor = (
                ray.remote(node.Node)
                .options(
                    num_cpus=wants["CPU"],
                    num_gpus=wants["GPU"],
                    scheduling_strategy="SPREAD",
                    max_restarts=0,
                    max_task_retries=0,
                )
                .remote(self.make, self.terms, partial(_send, self.mailbox) if self.mailbox else None)
            )
            self.hands.append(Hand(actor, actor.start.remote()))

    def _give(self, hand: Hand, unit: Unit) -> None:
        takes = [] if self.terms.folder else [self._input(hand, path) for path in unit.reads if _travels(path)]
        hand.unit = unit
        hand.answer = hand.actor.work.remote(parcels.dumps(unit.task), *[each for each in takes if each is not None])

    def _input(self, hand: Hand, path: Path) -> Any:
        """Send an input to a worker that has not got it; the answer, which the unit waits for."""
        name = str(path)
        changes = path.suffix == ".pt"  # a checkpoint
        if (name in hand.has and not changes) or not path.exists():
            return None
        ray = _ray()
        if name not in self.inputs or changes:
            self.inputs[name] = ray.put(parcels.dumps((path, parcels.pack(path))))
        self.inputs.move_to_end(name)
        while len(self.inputs) > KEPT:
            self.inputs.popitem(last=False)
        hand.has.add(name)
        return hand.actor.take.remote(self.inputs[name])

    def _keep(self, unit: Unit, done: node.Done) -> Any:
        parcels.receive(done.pieces)
        for name, level, text in done.said:
            logging.getLogger(name).log(level, text)
        if self.mailbox is not None:
            self._checkpoints()  # the last, sent before the result
            for path in unit.reads:
                if path.suffix == ".pt":  # of a training that is finished now
                    path.unlink(missing_ok=True)
        return pickle.loads(done.result)

    def _checkpoints(self) -> None:
        """Keep what trainings have sent, so that another node goes on from there."""
        ray = _ray()
        if self.mailbox is None:
            return
        with contextlib.suppress(ray.exceptions.GetTimeoutError):
            for name, data in ray.get(self.mailbox.take.remote(), timeout=GRACE).items():
                with files.new_file(places.home() / name) as partial_file:
                    partial_file.write_bytes(data)

    def _lost(self, hand: Hand, error: Exception) -> None:
        """Replace a worker that is gone; its unit is the next to be given out."""
        ray = _ray()
        if isinstance(error, ray.exceptions.ActorUnavailableError):
            try:  # Ray tells more once its head knows
                ray.get(hand.actor.ping.remote(), timeout=GRACE)
            except ray.exceptions.RayError as later:
                error = later
        reason = " ".join(str(error).split())
        blamed = isinstance(error, ray.exceptions.ActorDiedError) and "its node has died" not in reason
        unit = hand.unit
        self._dismiss(hand)
        if "No module named" in reason:
            raise ValueError(
                f"{self.stage}: a node cannot import this package ({reason[-200:]}). Install the same commit and "
                "requirements-ray.lock on every node"
            )
        if unit is None:
            self.failed += blamed
            if self.failed == STRIKES:
                raise ValueError(f"{self.stage}: {STRIKES} workers died while they started: {reason[:400]}")
            return
        unit.strikes += blamed
        logger.warning(
            "%s: %s was lost with its %s; it is done again",
            self.stage,
            unit.name,
            "worker" if blamed else "node",
        )
        if unit.strikes == STRIKES:
            raise ValueError(
                f"{self.stage}: {unit.name} killed its worker {STRIKES} times, perhaps by lack of memory. What is "
                f"finished is kept; a worker with more memory (ray.cpus or ray.gpus of compute.yaml) may do it. Ray "
                f"says: {reason[:300]}"
            )
        self.waiting.appendleft(unit)

    def _dismiss(self, hand: Hand) -> None:
        ray = _ray()
        self.hands.remove(hand)
        ray.kill(hand.actor)

    def _tell(self) -> None:
        """Say once that the cluster has no worker for this stage."""
        if any(hand.started for hand in self.hands) or not self.hands:
            self.idle_since, self.told = time.monotonic(), False
        elif not self.told and time.monotonic() - self.idle_since > (BUSY if self.room else PATIENCE):
            wants = ", ".join(f"{amount:g} {name}" for name, amount in need(self.machine, self.found).items() if amount)
            others = f"{self.room} fit on its nodes, but others are at work there"
            has = others if self.room else f"none of its {len(self.found)} nodes has so much"
            logger.warning("%s: waits until the cluster has room for a worker (%s): %s", self.stage, wants, has)
            self.told = True


def _travels(path: Path) -> bool:
    """Whether an input is sent: not where it has an absolute path, which it must have on every node."""
    return not path.is_absolute() or path.is_relative_to(places.home())


def _cause(error: Any) -> BaseException:
    """What a worker raised, as it raised it."""
    return error.cause if isinstance(error.cause, Exception) else ValueError(" ".join(str(error).split())[-2000:])
