"""The hash of a piece of code follows what it imports and what it means, not how it is commented."""

import pytest

from versat2i.settings import environment
from versat2i.work import fingerprint

MAIN = '''
"""What it does."""
import os
import versat2i.one
from versat2i import two
from versat2i.work import places
from stages.helper import work

def lazily():
    """Only when called."""
    from versat2i.parts import three  # heavy
    return three
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """``project({file: source})`` writes files of a small project of the same layout."""

    def write(files):
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        fingerprint._imports.cache_clear()

    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    write(
        {
            "versat2i/__init__.py": "",
            "versat2i/main.py": MAIN,
            "versat2i/one.py": "from versat2i.two import VALUE\n",
            "versat2i/two.py": "import versat2i.one\nVALUE = 2\n",
            "versat2i/parts/__init__.py": "from versat2i.parts import three\n",
            "versat2i/parts/three.py": "VALUE = 3\n",
            "versat2i/work/places.py": "from versat2i import unused\n",
            "versat2i/unused.py": "",
            "stages/helper.py": "def work(): pass\n",
        }
    )
    yield write
    fingerprint._imports.cache_clear()


def names(module):
    return [path.as_posix() for path in fingerprint.closure(module)]


def test_imports_are_followed_lazy_ones_and_circles_too_without_plumbing_and_package_roots(project):
    assert names("versat2i.main") == [
        "stages/helper.py",
        "versat2i/main.py",
        "versat2i/one.py",
        "versat2i/parts/three.py",
        "versat2i/two.py",
    ]


def test_a_name_from_a_package_is_a_reason_to_read_the_package(project):
    project({"versat2i/main.py": "from versat2i.parts import three, load\n"})
    assert "versat2i/parts/__init__.py" in names("versat2i.main")


def test_what_is_not_of_the_project_is_left_out(project):
    project({"versat2i/main.py": "import os, torch, versat2i_other\nfrom versat2i import nothing\n"})
    assert set(names("versat2i.main")) <= {"versat2i/main.py", "versat2i/__init__.py"}


def test_the_real_shards_are_made_of_themselves_and_the_tables():
    made_of = [f"versat2i/formats/{name}.py" for name in ("measures", "shards", "tables")]
    assert names("versat2i.formats.shards") == made_of


def test_plumbing_exists():
    assert all(fingerprint._file(module) for module in fingerprint.PLUMBING)
    assert fingerprint.is_plumbing("versat2i.work") and fingerprint.is_plumbing("versat2i.settings.params")
    assert not fingerprint.is_plumbing("versat2i.workshop") and not fingerprint.is_plumbing("versat2i.formats.metrics")


@pytest.mark.parametrize(
    "source",
    [
        MAIN.replace("  # heavy", "") + "# the end\n",
        MAIN.replace("What it does.", "What it really does.\n\nAnd more."),
        MAIN.replace('    """Only when called."""\n', ""),
        MAIN.replace("\n\n", "\n\n\n").replace("return three", "return (three)"),
    ],
)
def test_comments_docstrings_and_layout_mean_nothing(project, source):
    before = fingerprint.digest("versat2i.main")
    project({"versat2i/main.py": source})
    assert source != MAIN
    assert fingerprint.digest("versat2i.main") == before


@pytest.mark.parametrize(
    "file, source",
    [
        ("versat2i/main.py", MAIN.replace("return three", "return two")),
        ("versat2i/two.py", "import versat2i.one\nVALUE = 4\n"),
        ("versat2i/parts/three.py", "VALUE = '3'\n"),
        ("stages/helper.py", "def work(): return 'a text that is no docstring'\n"),
    ],
)
def test_code_means_something_wherever_it_is_imported_from(project, file, source):
    before = fingerprint.digest("versat2i.main")
    project({file: source})
    assert fingerprint.digest("versat2i.main") != before


@pytest.mark.parametrize("file", ["versat2i/work/places.py", "versat2i/unused.py", "versat2i/__init__.py"])
def test_plumbing_and_what_is_not_imported_mean_nothing(project, file):
    before = fingerprint.digest("versat2i.main")
    project({file: "VALUE = 5\n"})
    assert fingerprint.digest("versat2i.main") == before


def test_the_same_code_under_another_name_is_another_piece(project):
    project({"versat2i/four.py": "VALUE = 3\n"})
    assert fingerprint.digest("versat2i.four") != fingerprint.digest("versat2i.parts.three")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``package(file, text)`` writes a file of a small project with a module `versat2i.part`."""

    def put(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        fingerprint._imports.cache_clear()

    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    put("versat2i/part.py", "VALUE = 1\n")
    put("versat2i/other.py", "VALUE = 1\n")
    monkeypatch.setattr(environment, "installed", lambda: {"torch": "2.6.0", "numpy": "2.0.0"})
    yield put
    fingerprint._imports.cache_clear()


def piece(**inputs):
    return fingerprint.of(["versat2i.part"], **({"seed": 0, "keys": [("a", 0)]} | inputs))


def test_a_fingerprint_changes_with_the_versions_that_are_installed_without_any_file(package, monkeypatch):
    """As in a wheel, which has no environment.json."""
    before = piece()
    monkeypatch.setattr(environment, "installed", lambda: {"numpy": "2.0.0", "torch": "2.6.0"})
    assert piece() == before
    monkeypatch.setattr(environment, "installed", lambda: {"torch": "2.7.0", "numpy": "2.0.0"})
    assert piece() != before


def test_a_fingerprint_is_a_name_for_a_folder(package):
    assert len(piece()) == 32
    assert set(piece()) <= set("0123456789abcdef")


def test_a_fingerprint_changes_with_any_input(package):
    inputs = [{}, {"seed": 1}, {"seed": "0"}, {"keys": [("a", 1)]}, {"keys": [("a", 0), ("b", 0)]}, {"more": None}]
    assert len({piece(**some) for some in inputs}) == len(inputs)


def test_a_fingerprint_does_not_depend_on_order(package):
    modules = ["versat2i.part", "versat2i.other"]
    assert fingerprint.of(modules, a=1, b=2) == fingerprint.of([*reversed(modules), "versat2i.part"], b=2, a=1)


@pytest.mark.parametrize(
    "file, text",
    [
        ("versat2i/part.py", "VALUE = 2\n"),
        ("versat2i/part.py", "from versat2i import other\nVALUE = 1\n"),
    ],
)
def test_a_fingerprint_changes_with_code(package, file, text):
    before = piece()
    package(file, text)
    assert piece() != before


@pytest.mark.parametrize(
    "file, text",
    [
        ("versat2i/part.py", '"""Now explained."""\n\nVALUE = 1  # one\n'),
        ("versat2i/other.py", "VALUE = 2\n"),
    ],
)
def test_a_fingerprint_does_not_change_with_words_or_with_code_that_is_not_used(package, file, text):
    before = piece()
    package(file, text)
    assert piece() == before
