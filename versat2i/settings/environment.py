"""The versions that results depend on: tracked by DVC, checked before a stage runs."""

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FILE = Path("environment.json")
PACKAGES = (
    "diffusers",
    "numpy",
    "opencv-python-headless",
    "peft",
    "pyiqa",
    "scikit-image",
    "torch",
    "torchvision",
    "transformers",
)
"""pandas, pyarrow and the like move data; another version of theirs gives the same numbers."""


@cache
def installed() -> dict[str, str | None]:
    """Public versions of `PACKAGES`, without a build's suffix such as ``+cu126``; None: not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = None
    return found


def check(path: Path = FILE) -> None:
    """Compare what is installed with what the results are said to be made with.

    Raises:
        ValueError: a version differs (results would be filed under the wrong one), or the file cannot be read.
    """
    if not path.exists():
        raise ValueError(f"{path}: is missing. `make lock` writes it")
    try:
        expected = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected package names and versions as JSON ({error}). `make lock` writes it"
        ) from None
    if lacking := sorted(set(PACKAGES) - set(expected)):
        raise ValueError(f"{path}: says no version of {', '.join(lacking)}. `make lock` writes it")
    found = installed()
    for name, wanted in expected.items():
        if found.get(name) != wanted:
            raise ValueError(
                f"{path} says {name} {wanted}, installed is {found.get(name)}. "
                "Run `make setup` to install what is locked, or `make lock` to work with new versions"
            )


def write(path: Path = FILE) -> None:
    """Record what is installed."""
    path.write_text(json.dumps(installed(), indent=2) + "\n")


if __name__ == "__main__":
    write()
