"""YAML as settings need it: what two readers would take for two things is an error, and nothing in it can grow.

PyYAML keeps the last of two equal keys, reads ``010`` as eight and ``1:30`` as ninety, where DVC reads other
numbers, and lets ten lines of aliases stand for a billion values.
"""

import re
from typing import Any

import yaml

LONGEST = 100_000  # characters of a file; params.yaml has some 2,000
MOST_VALUES = 10_000  # in a file, each alias counted as what it stands for; params.yaml has some 300
DEEPEST = 30  # levels of nesting

_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "tag:yaml.org,2002:float": re.compile(r"[^_:]*"),
}
"""How a number is written that every reader takes for the same."""


def parse(text: str) -> Any:
    """What a YAML text says.

    Raises:
        ValueError: it is not YAML, or holds what settings must not; one line that says where.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters, at most {LONGEST} are allowed")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(loader, node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: also a date that does not exist
        raise ValueError(" ".join(str(error).split())) from None


def _count(loader: yaml.SafeLoader, node: yaml.Node, counts: dict[int, int | None], depth: int) -> int:
    """Values from a node on, each alias counted as what it stands for; what must not be there is an error.

    Args:
        loader: knows which tag a value has without one being written.
        node: where to start.
        counts: of the nodes seen so far by id, None while a node is being counted.
        depth: how deep the node lies.
    """
    where = f"line {node.start_mark.line + 1}"
    if id(node) in counts:
        known = counts[id(node)]
        if known is None:
            raise ValueError(f"{where}: a value that holds itself")
        return known
    if depth > DEEPEST:
        raise ValueError(f"{where}: nested deeper than {DEEPEST} levels")
    _check(loader, node, where)
    counts[id(node)] = None
    total = 1 + sum(_count(loader, part, counts, depth + 1) for part in _parts(node))
    if total > MOST_VALUES:
        raise ValueError(f"{where}: stands for more than {MOST_VALUES} values")
    counts[id(node)] = total
    return total


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check(loader: yaml.SafeLoader, node: yaml.Node, where: str) -> None:
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if node.tag != loader.resolve(type(node), node.value, (plain, not plain)):
        raise ValueError(f"{where}: the tag {node.tag} has no meaning in settings")
    if node.tag in _NUMBERS and not _NUMBERS[node.tag].fullmatch(node.value):
        raise ValueError(f"{where}: {node.value} is another number to other readers; write it in plain digits")
    if isinstance(node, yaml.MappingNode):
        # as written: a key that overrides one of a merged mapping is no duplicate
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"{where}: the key {twice!r} is there twice")
