"""What many tests need: no network, a tiny model, and a place to count what was tried."""

import os
from collections import Counter

import pytest

TORTURE = int(
    os.environ.get("VERSAT2I_TORTURE", "0")
)  # kills of each stage in `make torture`, which tries all else too
COUNTS: Counter[str] = Counter()

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", DVC_NO_ANALYTICS="1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # processes share the cores: threads of several would wait for each other


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A random pipeline of the embedded model's class."""
    import tiny

    return tiny.pipeline_folder(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def model(model_folder):
    """That pipeline as params name it."""
    from versat2i.settings.params import Model

    return Model(path=str(model_folder), dtype="float32", threads=1)


@pytest.fixture(scope="session")
def torture() -> int:
    """How many kills of each stage; 0: as few as tell something, and samples of all else."""
    return TORTURE


@pytest.fixture(scope="session")
def counts() -> Counter[str]:
    """What was tried so far, by what it is called; told at the end."""
    return COUNTS


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # a worker of pytest-xdist: handed to the process that tells it
        session.config.workeroutput["counts"] = dict(COUNTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    COUNTS.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for what, times in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{what}: {times}")
    for reason, times in sorted(_skips(terminalreporter).items()):
        terminalreporter.write_line(f"{times} skipped: {reason}")


def _skips(terminalreporter: pytest.TerminalReporter) -> Counter[str]:
    """How many tests were skipped, by the reason, which says how to have them."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in reports]
    return Counter(reason.removeprefix("Skipped: ") for reason in reasons)
