"""Lock files of Python environments: which packages are pinned, and what of that is installed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_COMMIT = re.compile(r"@([0-9a-f]{40})\b")


@dataclass(frozen=True)
class Pin:
    """A line of a lock file.

    Attributes:
        name: of the package, in lower case and with dashes.
        version: its version, or the commit of the repository that it comes from; empty: any.
        conditional: whether it is for some platforms only.
    """

    name: str
    version: str
    conditional: bool


def _pin(line: str, path: Path) -> Pin:
    try:
        found = Requirement(line)
        name, conditional = canonicalize_name(found.name), found.marker is not None
        if found.url is not None:
            commit = _COMMIT.search(found.url)
            return Pin(name, commit[1] if commit else "", conditional)
        ((operator, version),) = [(each.operator, each.version) for each in found.specifier]
        if operator == "==":
            return Pin(name, version, conditional)
    except (InvalidRequirement, ValueError):  # ValueError: not one condition on the version
        pass
    raise ValueError(f"{path}: {line!r} pins no package; expected lines such as name==1.2.3")


def read(path: Path) -> list[Pin]:
    """The pins of a lock file as `pip freeze`, `uv pip compile` and `pip-compile` write it; hashes are left aside.

    Raises:
        ValueError: it cannot be read, a line pins nothing, or there is no line.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: the lock file of an environment cannot be read ({error})") from None
    whole = re.sub(r"(^|\s)#.*", "", text, flags=re.M).replace("\\\n", " ")
    lines = [re.split(r"\s--", line)[0].strip() for line in whole.splitlines()]
    pins = [_pin(line, path) for line in lines if line and not line.startswith("-")]
    if not pins:
        raise ValueError(f"{path}: pins no package; expected lines such as name==1.2.3")
    return pins


def _public(version: str) -> str:
    """A version without a build's suffix such as ``+cu126``."""
    return version.partition("+")[0]


def difference(pins: list[Pin], installed: Mapping[str, str]) -> str | None:
    """The first package that is not as it is pinned, None: all are.

    A package that is pinned for some platforms only may be missing, and one that is pinned several times,
    for several platforms, may have any of its versions.
    """
    for pin in pins:
        allowed = [other.version for other in pins if other.name == pin.name]
        found = installed.get(pin.name)
        if found is None and not pin.conditional:
            return f"{pin.name} {pin.version}".strip() + " is not installed"
        if found is not None and "" not in allowed and _public(found) not in map(_public, allowed):
            return f"{pin.name} is {found}, not {' or '.join(allowed)}"
    return None
