"""A place for files of prompts."""

import pytest


@pytest.fixture
def put(tmp_path):
    """``put(name, data)`` writes a file and returns its path."""

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write
