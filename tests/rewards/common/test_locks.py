"""A lock says which package, or which commit of one, an environment must have."""

import pytest
from distributions import package

from versat2i.rewards.common import isolated_worker, locks


def test_a_lock_is_read_as_tools_write_it(tmp_path):
    commit = "0123456789" * 4
    (tmp_path / "a.lock").write_text(
        "# by a tool\n--index-url https://example.org\nTorch[cuda]==2.0.1+cu118 \\\n    --hash=sha256:0a \\\n"
        "    --hash=sha256:0b\n    # via something\n"
        f"mplug_owl2 @ git+https://example.org/owl.git@{commit}#subdirectory=owl\n"
        "uvloop==0.1 ; sys_platform != 'win32'\n"
    )
    pins = locks.read(tmp_path / "a.lock")
    assert pins == [
        locks.Pin("torch", "2.0.1+cu118", False),
        locks.Pin("mplug-owl2", commit, False),
        locks.Pin("uvloop", "0.1", True),
    ]
    installed = {"torch": "2.0.1", "mplug-owl2": commit, "more": "3"}
    assert locks.difference(pins, installed) is None
    assert locks.difference(pins, {**installed, "uvloop": "0.2"}) == "uvloop is 0.2, not 0.1"
    assert locks.difference(pins, {**installed, "mplug-owl2": "1.0"}) == f"mplug-owl2 is 1.0, not {commit}"


@pytest.mark.parametrize("text, said", [("numpy>=1.0\n", "'numpy>=1.0' pins no package"), ("\n#\n", "pins no package")])
def test_a_lock_that_pins_nothing_is_refused(tmp_path, text, said):
    (tmp_path / "a.lock").write_text(text)
    with pytest.raises(ValueError, match=said):
        locks.read(tmp_path / "a.lock")


def test_a_package_of_a_repository_is_known_by_its_commit(tmp_path, monkeypatch):
    package(tmp_path, "owl", "1.0", "")
    (tmp_path / "owl-1.0.dist-info/direct_url.json").write_text('{"url": "u", "vcs_info": {"commit_id": "abc"}}')
    monkeypatch.syspath_prepend(tmp_path)
    assert isolated_worker.installed()["owl"] == "abc"
