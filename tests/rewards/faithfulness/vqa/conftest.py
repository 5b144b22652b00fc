"""Random models that answer questions."""

import pytest
import tiny_vision


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``folder(name, ...)``: a random model of that kind."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def build(name, *options):
        if name not in made:
            made[name] = getattr(tiny_vision, name)(root / name, *options)
        return made[name]

    return build
