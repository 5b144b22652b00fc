"""What the tests of training share."""

import pytest
from toy import Run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("unbroken"))
    return run.train(), run.weight.detach()
