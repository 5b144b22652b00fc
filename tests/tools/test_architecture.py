"""Imports are read wherever they stand, rooms are ordered, and the picture shows each import once."""

import re
from xml.etree import ElementTree

import pytest

from versat2i.tools import architecture
from versat2i.tools.architecture import Room

FILES = {
    "versat2i/__init__.py": "def load():\n    from versat2i.formats import tables\n",
    "versat2i/formats/__init__.py": '"""Files. In: bytes. Out: tables."""',
    "versat2i/formats/tables.py": "import os\nfrom pathlib import Path\n",
    "versat2i/select/__init__.py": "",
    "versat2i/select/rule.py": (
        "from typing import TYPE_CHECKING\n"
        "from versat2i.formats.tables import read\n"
        "if TYPE_CHECKING:\n    import versat2i.formats\n"
        "def pick():\n    from versat2i.select import chosen\n"
    ),
    "versat2i/select/chosen.py": "from versat2i.formats import tables, other\n",
    "stages/select.py": "from versat2i.select import rule\n",
    "bench/speed.py": "import versat2i.select.rule\n",
}


@pytest.fixture
def project(tmp_path):
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def test_modules_are_those_of_the_package_of_stages_and_of_bench(project):
    (project / "setup.py").write_text("")
    assert set(architecture.modules(project)) == {
        "versat2i",
        "versat2i.formats",
        "versat2i.formats.tables",
        "versat2i.select",
        "versat2i.select.rule",
        "versat2i.select.chosen",
        "stages.select",
        "bench.speed",
    }


def test_imports_count_wherever_they_stand(project):
    """In a function and for a type checker too; a name that is no module is of the package that it comes from."""
    graph = architecture.imports(architecture.modules(project))
    assert {module: set(targets) for module, targets in graph.items() if targets} == {
        "versat2i": {"versat2i.formats.tables"},
        "versat2i.select.rule": {"versat2i.formats.tables", "versat2i.formats", "versat2i.select.chosen"},
        "versat2i.select.chosen": {"versat2i.formats.tables", "versat2i.formats"},
        "stages.select": {"versat2i.select.rule"},
        "bench.speed": {"versat2i.select.rule"},
    }


def test_a_relative_import_is_refused(project):
    (project / "versat2i/select/rule.py").write_text("\nfrom . import chosen\n")
    with pytest.raises(ValueError, match="line 2 imports relative to its folder"):
        architecture.imports(architecture.modules(project))


@pytest.mark.parametrize(
    "module, room",
    [
        ("versat2i", "versat2i"),
        ("versat2i.words", "words"),
        ("versat2i.select", "select"),
        ("versat2i.models.diffusion.base", "models"),
        ("stages.select", "stages"),
        ("bench", "bench"),
    ],
)
def test_a_room_is_the_folder_below_the_package(module, room):
    assert architecture.room_of(module) == room


def graph(**targets):
    return {node: frozenset(targets.get(node, "")) for node in "abcde"}


def test_groups_import_what_their_members_do_but_not_themselves():
    into = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "z"}
    found = architecture.merged(graph(a="b", b="c", d="ce"), into)
    assert found == {"x": {"y"}, "y": {"z"}, "z": set()}


def test_everything_on_a_circle_is_named_and_nothing_else():
    assert architecture.circles(graph(a="b", b="c", c="b", d="ab")) == ["b", "c"]
    assert architecture.circles(graph(a="bc", b="c", c="d")) == []


def test_an_import_that_a_longer_way_shows_too_is_not_direct():
    """a > b > c > d, besides a > c, a > d and a > e: two of the three besides are shown by a > b."""
    assert architecture.direct(graph(a="bcde", b="c", c="d")) == {
        "a": {"b", "e"},
        "b": {"c"},
        "c": {"d"},
        "d": set(),
        "e": set(),
    }


@pytest.mark.parametrize(
    "docstring, expected",
    [
        ("Choose. In: data/scores. Out: data/selected.\n\nMore.", ("Choose.", ("data/scores", "data/selected"))),
        ("Show it. In: data/, plots/. Out: data/report.", ("Show it.", ("data/, plots/", "data/report"))),
        ("Choose what is learned.", ("Choose what is learned.", None)),
        ("Choose. In: data/scores.", ("Choose. In: data/scores.", None)),
    ],
)
def test_the_first_line_says_what_a_room_does_and_what_flows(docstring, expected):
    assert architecture.flow(docstring) == expected


def made(project):
    """The rooms of a project that has one module at least in each."""
    for level in architecture.LEVELS:
        for room in level:
            folder = project / (room if room in ("bench", "stages", "versat2i") else f"versat2i/{room}")
            folder.mkdir(exist_ok=True)
            if not any(folder.iterdir()):
                (folder / "__init__.py").write_text("")
    return architecture.rooms(project)


def test_a_stage_does_the_work_of_the_last_room_that_it_imports_from(project):
    (project / "stages/command.py").write_text("from versat2i.select import rule\n")
    found = {room.name: (room.modules, room.does, room.flow, room.stages) for room in made(project)}
    assert found["formats"] == (2, "Files.", ("bytes", "tables"), ())
    assert found["select"] == (3, "select", None, ("select",)) and found["stages"][3] == ()


PLAN = [
    Room("settings", 1, "What is wanted.", ("YAML", "models"), ()),
    Room("select", 3, "Choose <one>.", ("scores", "picks & more"), ("select",)),
    Room("tools", 2, "Beside.", None, ()),
]
ARROWS = {
    "settings": frozenset(),
    "select": frozenset({"settings"}),
    "tools": frozenset({"select", "settings", "seeds"}),
}


def test_a_room_is_a_box_and_an_import_an_arrow_that_points_up():
    tree = ElementTree.fromstring(architecture.svg(PLAN, ARROWS))
    space = {"s": "http://www.w3.org/2000/svg"}
    words = [text.text for text in tree.iterfind("s:text", space)]
    assert {"settings", "select", "tools", "1 module", "3 modules", "stage select", "Choose <one>."} <= set(words)
    assert "scores  →  picks & more" in words
    arcs = [path for path in tree.iterfind("s:path", space) if path.get("fill") == "none"]
    assert len(arcs) == 3 and sum("marker-end" in arc.attrib for arc in arcs) == 2  # tools > settings is implied
    for arc in arcs:
        start, *_, end = [float(y) for y in re.findall(r"[MC ][-\d.]+ ([-\d.]+)", arc.get("d"))]
        assert end < start


def test_the_picture_is_the_same_each_time():
    assert architecture.svg(PLAN, ARROWS) == architecture.svg(PLAN, dict(reversed(ARROWS.items())))
