"""Public benchmark files that are not part of the project: a test that needs one skips where it is absent."""

from pathlib import Path

import pytest

from versat2i.work.fingerprint import ROOT

FOLDER = ROOT.parent / "shared" / "benchmarks"


def published(name: str) -> Path:
    """The path of a file."""
    if not (FOLDER / name).is_file():
        pytest.skip(f"{name} is not in {FOLDER}")
    return FOLDER / name
