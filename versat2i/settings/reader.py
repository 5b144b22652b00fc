"""Read settings as DVC reads and writes them: ruamel.yaml, YAML 1.2, so that `1e-05` is a number and `off` a word."""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

LONGEST = 100_000  # characters of a file; params.yaml has some 4,000
DEEPEST = 30  # levels of nesting


def parse(text: str) -> Any:
    """Parse a YAML text; None for an empty one.

    Raises:
        ValueError: it is not YAML, too long or too deep, or an alias stands in it; one line that says where.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters, at most {LONGEST} are allowed")
    try:
        _check(text)
        return YAML(typ="safe").load(text)
    except DuplicateKeyError as error:  # its own text says how to have the last one win without a word
        key = re.search(r'found duplicate key "(.*?)" with', error.problem)
        raise ValueError(
            f"line {error.problem_mark.line + 1}: {key[1] if key else 'a key'!r} is there for the second time in one "
            "mapping. Keep one"
        ) from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: also a date that does not exist
        raise ValueError(" ".join(str(error).split())) from None


def _check(text: str) -> None:
    """Refuse aliases and deep nesting before anything is built.

    `dvc exp run -S` loads an aliased mapping as one object: a change to one place is lost or appears in all.
    """
    depth = 0
    for event in YAML(typ="safe").parse(text):
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            raise ValueError(
                f"{where}: the alias *{event.anchor} makes two places one mapping, so `dvc exp run -S` would change "
                "both or neither. Write the values out"
            )
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"{where}: nested deeper than {DEEPEST} levels")
