"""`make setup` takes a Python that fits, says so where there is none, and leaves no environment of another behind."""

import os
import shutil
import subprocess
import sys

import pytest

from versat2i.work.fingerprint import ROOT

UV = '#!/bin/sh\necho uv "$@" >> "$(dirname "$0")/../../uv.log"\n'


def python(path, version):
    """A stand-in for Python of a version: it answers what the Makefile asks, and makes an environment with uv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, shutil, sys\n"
        "real = sys.version_info\n"
        f"sys.version_info = ({version[0]}, {version[1]}, 0)\n"
        "if sys.argv[1] == '-c':\n"
        "    exec(sys.argv[2])\n"
        "elif sys.argv[1:3] == ['-m', 'venv']:\n"
        "    folder = pathlib.Path(sys.argv[3], 'bin')\n"
        "    folder.mkdir(parents=True)\n"
        "    shutil.copy(__file__, folder / 'python')\n"
        f"    for name, text in (('uv', {UV!r}), ('pip', '#!/bin/sh\\n')):\n"
        "        (folder / name).write_text(text)\n"
        "        (folder / name).chmod(0o755)\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def setup(tmp_path):
    """``setup(names)`` runs `make setup` where these pythons are on PATH, ``{name: version}``, and nothing else is."""
    root = tmp_path / "clone"
    root.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh", "echo", "test", "touch", "rm", "dirname", "cat"):
        (tools / name).symlink_to(shutil.which(name))

    def run(pythons, *options):
        folder = tmp_path / "pythons"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, version in pythons.items():
            python(folder / name, version)
        environment = {**os.environ, "PATH": os.pathsep.join([str(folder), str(tools)])}
        done = subprocess.run(["make", "setup", *options], cwd=root, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr, root / ".venv"

    return run


def version_of(environment):
    return (environment / "bin/python").read_text().split("sys.version_info = (")[1].split(")")[0]


@pytest.mark.parametrize(
    "pythons, taken",
    [
        ({"python3": (3, 11)}, "3, 11, 0"),
        ({"python3": (3, 10), "python3.12": (3, 12)}, "3, 12, 0"),
        ({"python3": (3, 14), "python3.11": (3, 11), "python3.13": (3, 13)}, "3, 13, 0"),
    ],
)
def test_a_python_that_fits_is_taken(setup, pythons, taken):
    status, output, environment = setup(pythons)
    assert status == 0, output
    assert version_of(environment) == taken and (environment / ".ready").exists()


def test_without_one_it_says_what_is_needed(setup):
    status, output, environment = setup({"python3": (3, 10)})
    assert status and "versat2i needs Python 3.11 to 3.13: make setup PYTHON=" in output
    assert not environment.exists()
    status, output, _ = setup({"python3": (3, 12), "python3.9": (3, 9)}, "PYTHON=python3.9")
    assert status and "versat2i needs Python 3.11 to 3.13; python3.9 is none" in output


def test_an_environment_of_another_version_is_made_anew(setup):
    status, _, environment = setup({"python3": (3, 12)})
    assert status == 0
    python(environment / "bin/python", (3, 10))  # as an older Makefile left it
    (environment / ".ready").unlink()
    status, output, environment = setup({"python3": (3, 12)})
    assert status == 0, output
    assert version_of(environment) == "3, 12, 0"
