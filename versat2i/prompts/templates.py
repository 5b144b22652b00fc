"""Instructions for a language model in a file of their own, with places for what differs between requests."""

from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

# sandboxed: a template, which may come with a preset, reaches no code
_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)


class Template:
    """A file in the language of Jinja: ``{{ prompt }}``, ``{% for example in examples %}``."""

    def __init__(self, path: str) -> None:
        """Read it.

        Raises:
            ValueError: it is not there, or no template.
        """
        self._path = path
        try:
            self._template = _ENVIRONMENT.from_string(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, jinja2.TemplateError) as error:
            raise ValueError(f"{path}: cannot be read as a template of instructions ({error})") from None

    def fill(self, **values: Any) -> str:
        """The instructions with these values.

        Raises:
            ValueError: it has a place for something else; that is named.
        """
        try:
            return self._template.render(values).strip()
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
            known = ", ".join(sorted(values))
            raise ValueError(f"{self._path}: {error}; what may stand in this template: {known}") from None
