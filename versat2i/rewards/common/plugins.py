"""Evaluators of other packages: a digest of their code, tracked by DVC as `plugins.json`, checked before scoring."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, entry_points
from importlib.util import find_spec
from pathlib import Path

from versat2i.formats import metrics
from versat2i.rewards.common.isolated_worker import GROUP
from versat2i.work import files

FILE = Path("plugins.json")
KEY = "plugins"  # around all: DVC's run cache leaves out a stage one of whose params files is empty
_NO_CODE = (".dist-info", ".egg-info", "__pycache__", "__editable__", "..")


@cache
def installed() -> dict[str, str]:
    """SHA-256 of the files of each distribution that registers an evaluator, by its name."""
    return {name: _digest(distribution) for name, (distribution, _) in sorted(_registering().items())}


def used_by(modules: Iterable[str]) -> dict[str, str]:
    """Return the plug-ins of `installed` that one of the modules belongs to."""
    roots = {module.partition(".")[0] for module in modules}
    return {name: installed()[name] for name, (_, owned) in sorted(_registering().items()) if owned & roots}


def _registering() -> dict[str, tuple[Distribution, set[str]]]:
    """Each distribution with an evaluator, and the top-level modules that its evaluators lie in."""
    found: dict[str, tuple[Distribution, set[str]]] = {}
    for point in entry_points(group=GROUP):
        if point.dist is not None:
            _, roots = found.setdefault(point.dist.name, (point.dist, set()))
            roots.add(point.module.partition(".")[0])
    return found


def _digest(distribution: Distribution) -> str:
    sources = _sources(distribution)
    lines = [f"{name} {files.file_hash(path)}" for name, path in sorted(sources.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sources(distribution: Distribution) -> dict[str, Path]:
    """Find the files of a distribution: the installed ones; of an editable distribution the files of its modules."""
    found = {str(file): Path(str(file.locate())) for file in distribution.files or [] if _is_code(str(file))}
    for root in _registering()[distribution.name][1]:
        spec = find_spec(root)
        for folder in map(Path, (spec and spec.submodule_search_locations) or []):
            found |= {f"{root}/{path.relative_to(folder)}": path for path in folder.rglob("*")}
        if spec and spec.origin and not spec.submodule_search_locations:
            found[Path(spec.origin).name] = Path(spec.origin)
    return {name: path for name, path in found.items() if _is_code(name) and path.is_file()}


def _is_code(name: str) -> bool:
    return not any(part.endswith(_NO_CODE) or part.startswith(_NO_CODE) for part in Path(name).parts)


def check(path: Path = FILE) -> None:
    """Compare the plug-ins that are installed with those that results are said to be made with.

    Raises:
        ValueError: one differs, so that its scores would be filed under other code.
    """
    expected = metrics.read_json(path, "Run `make plugins`").get(KEY, {}) if path.exists() else {}
    found = installed()
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            said, there = (str(code)[:12] if code else "none" for code in (expected.get(name), found.get(name)))
            raise ValueError(
                f"{path}: the code of plug-in {name} is {said} there, installed is {there}. Run `make repro`, or "
                "`make plugins` before `dvc repro`: what it scored is then scored again"
            )


def write(path: Path = FILE) -> None:
    """Record the plug-ins that are installed; an unchanged file is left as it is."""
    text = json.dumps({KEY: installed()}, indent=2, sort_keys=True) + "\n"
    if not path.exists() or path.read_text() != text:
        with files.new_file(path) as partial:
            partial.write_text(text)


if __name__ == "__main__":
    write()
