"""Which of the project's own modules a piece of work runs, and a hash of what they say."""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from versat2i.settings import environment

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("versat2i", "stages")

PLUMBING = ("versat2i.settings", "versat2i.work", "stages.command")
"""Rooms and modules that say where, when and under which settings work is done, never what comes out of it.
A change in them reruns nothing; what they pass on (params, versions) is tracked by itself."""


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _imports(module: str) -> frozenset[str]:
    """The project's modules that a module imports anywhere in it, lazily or not."""
    path = _file(module)
    if path is None:
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if _file(name)}
            names |= modules if len(modules) == len(inside) else modules | {node.module}
    return frozenset(n for n in names if n.split(".")[0] in _PACKAGES and _file(n))


def is_plumbing(module: str) -> bool:
    """Whether a module lies in `PLUMBING`."""
    return any(module == room or module.startswith(f"{room}.") for room in PLUMBING)


def closure(module: str) -> list[Path]:
    """The files of a module and of all it imports from this project but `PLUMBING`, sorted, relative to the root."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen and not is_plumbing(name):
            seen.add(name)
            todo += _imports(name)
    files = {_file(name) for name in seen}
    return sorted(path.relative_to(ROOT) for path in files if path)


@cache
def _meaning(source: str) -> str:
    """Return the parsed source without comments and docstrings, cached because each shard's fingerprint needs it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_text(s)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def digest(module: str) -> str:
    """Hash of what a module and all it imports mean: a comment does not change it, code does."""
    whole = hashlib.sha256()
    for path in closure(module):
        whole.update(f"{path}\n{_meaning((ROOT / path).read_text())}\n".encode())
    return whole.hexdigest()


def of(modules: Iterable[str], **inputs: Any) -> str:
    """Hash of a piece of work: its inputs, the environment's versions and the code that makes it.

    Args:
        modules: the modules whose code, with all they import from this project, makes the piece.
        inputs: whatever else its bytes depend on, as JSON values.
    """
    whole = {
        "inputs": inputs,
        "environment": environment.installed(),  # not environment.json: a wheel has none
        "code": [digest(module) for module in sorted(set(modules))],
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]
