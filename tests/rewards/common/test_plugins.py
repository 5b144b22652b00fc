"""The code of a plug-in is known by its bytes, and what was scored by other code is not taken for its own."""

import hashlib
import json
import os

import pytest
from distributions import package

from versat2i.rewards.common import plugins

CODE = "class Gauged: ...\n"
POINTS = "[versat2i.rewards]\njudges.gauged = gauging:Gauged\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of packages with one that registers an evaluator, and one that does not."""
    (tmp_path / "site").mkdir()
    package(tmp_path / "site", "gauging", "1.0", CODE, POINTS)
    package(tmp_path / "site", "other", "1.0", CODE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    plugins.installed.cache_clear()
    yield tmp_path
    plugins.installed.cache_clear()


def digest(*files):
    """SHA-256 of a line a file: its name and the SHA-256 of its bytes."""
    lines = [f"{name} {hashlib.sha256(content.encode()).hexdigest()}" for name, content in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_a_plug_in_is_known_by_the_names_and_bytes_of_its_code(place):
    assert plugins.installed() == {"gauging": digest(("gauging.py", CODE))}


def test_of_an_installed_package_every_file_counts_but_what_an_installer_writes(place):
    (place / "site/gauging_data.txt").write_text("weights")
    record = (
        "gauging.py,,\ngauging_data.txt,,\ngauging-1.0.dist-info/METADATA,,\n__pycache__/gauging.pyc,,\n../../bin/x,,\n"
    )
    (place / "site/gauging-1.0.dist-info/RECORD").write_text(record)
    assert plugins.installed() == {"gauging": digest(("gauging.py", CODE), ("gauging_data.txt", "weights"))}


def test_only_the_plug_in_that_a_module_belongs_to_is_used_by_it():
    assert list(plugins.used_by(["versat2i.rewards.common.scoring", "gauging"])) == ["gauging"]
    assert plugins.used_by(["versat2i.rewards.common.scoring", "gauging_more", "other"]) == {}


def test_what_is_written_is_what_is_installed_and_is_left_alone_while_it_holds(place):
    path = place / "plugins.json"
    plugins.write(path)
    assert json.loads(path.read_text()) == {"plugins": {"gauging": digest(("gauging.py", CODE))}}
    plugins.check(path)
    os.utime(path, (0, 0))
    plugins.write(path)
    assert path.stat().st_mtime == 0


def test_other_code_is_refused_in_one_line_that_names_it(place):
    path = place / "plugins.json"
    plugins.write(path)
    before = digest(("gauging.py", CODE))[:12]
    (place / "site/gauging.py").write_text(CODE + "# mended\n")
    plugins.installed.cache_clear()
    now = digest(("gauging.py", CODE + "# mended\n"))[:12]
    with pytest.raises(ValueError) as error:
        plugins.check(path)
    line = str(error.value)
    assert line.startswith(
        f"{path}: the code of plug-in gauging is {before} there, installed is {now}. Run `make repro`"
    )
    assert "\n" not in line


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "gauging is none there, installed is"),
        ({"gauging": "x", "gone": "0123456789abcdef"}, "gauging is x there"),
        ({"gone": "0123456789abcdef"}, "gauging is none there"),
    ],
)
def test_one_that_is_new_or_gone_is_other_code_too(place, content, said):
    path = place / "plugins.json"
    if content is not None:
        path.write_text(json.dumps({"plugins": content}))
    with pytest.raises(ValueError, match=said):
        plugins.check(path)


def test_one_that_is_not_there_any_more_is_named(place, monkeypatch):
    path = place / "plugins.json"
    path.write_text(json.dumps({"plugins": plugins.installed() | {"gone": "0123456789abcdef"}}))
    with pytest.raises(ValueError, match="plug-in gone is 0123456789ab there, installed is none"):
        plugins.check(path)
