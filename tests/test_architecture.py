"""The rooms are as docs/architecture.md says: their order, no circles, a test file a module, a true picture."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from versat2i.tools import architecture
from versat2i.work.fingerprint import ROOT

MODULES = architecture.modules(ROOT)
IMPORTS = architecture.imports(MODULES)
ROOMS = architecture.merged(IMPORTS, {module: architecture.room_of(module) for module in MODULES})
LEVEL = {room: number for number, rooms in enumerate(architecture.LEVELS) for room in rooms}
FOLDERS = [room for room in LEVEL if (ROOT / "versat2i" / room).is_dir()]

BENCH = (
    "adapt",
    "bench",
    "best_of",
    "causes",
    "conflict",
    "flaws",
    "png",
    "pooled",
    "scale",
    "study",
    "unite",
    "waiting",
    "weights",
)
BESIDE = {
    **{f"bench/test_{name}.py": "bench/ measures the package and is no part of it" for name in BENCH},
    "models/diffusion/test_families.py": "every family goes through all stages",
    "prompts/test_benchmarks.py": "public benchmark files, read whole",
    "report/test_in_browser.py": "the page in a real browser",
    "report/test_order.py": "a script of the page, order.js",
    "rewards/common/test_answer_tokens.py": "vlm, by tokenizers of each kind",
    "rewards/common/test_plug_in.py": "examples/my_reward",
    "rewards/low_level/test_mplug_owl2.py": "examples/mplug_owl2",
    "settings/test_presets.py": "presets/",
    "shapes/test_model.py": "the weights that are shipped",
    "train/test_scaling.py": "gradients in float16, through models, LoRAs, gates and losses",
}
"""Tests in a room's folder that are not about one of its modules, each with what they are about."""
OTHER = ("faults", "hostile", "published", "remote", "stages")  # folders of tests about more than one module


def test_every_module_lies_in_a_room_that_has_a_place_in_the_order():
    assert ROOMS.keys() == LEVEL.keys()


@pytest.mark.parametrize("room", LEVEL)
def test_a_room_imports_only_from_rooms_before_it(room):
    wrong = {target for target in ROOMS[room] if LEVEL[target] >= LEVEL[room]}
    culprits = [
        f"{module} imports {target}"
        for module in MODULES
        for target in IMPORTS[module]
        if architecture.room_of(module) == room and architecture.room_of(target) in wrong
    ]
    assert culprits == []


def test_no_module_imports_itself_by_way_of_others():
    assert architecture.circles(IMPORTS) == []


def test_no_folder_imports_itself_by_way_of_others():
    """A module at the top of the package belongs to no folder: it stands for itself."""

    def folder(module: str) -> str:
        parent = MODULES[module].parent.relative_to(ROOT).as_posix()
        return module if parent == "versat2i" else parent

    assert architecture.circles(architecture.merged(IMPORTS, {module: folder(module) for module in MODULES})) == []


def test_stages_holds_the_stages_of_dvc_yaml_and_what_they_share():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    own = {f"{name}.py" for name in pipeline}
    shared = {"__init__.py", "command.py", "graph.py", "gains.json"}  # the last: how `dvc plots` shows the gains
    found = {path.name for path in (ROOT / "stages").iterdir() if path.name != "__pycache__"}
    assert len(own) == 9 and found == own | shared


@pytest.mark.parametrize("room", FOLDERS)
def test_the_first_line_of_a_room_says_what_flows_in_and_out(room):
    docstring = ast.get_docstring(ast.parse((ROOT / "versat2i" / room / "__init__.py").read_text()))
    assert architecture.flow(docstring)[1] is not None, f"{docstring!r}: expected '... In: ... Out: ...'"


def public(path: Path) -> bool:
    """Whether a module defines a function or a class for others."""
    body = ast.parse(path.read_text()).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and not node.name.startswith("_") for node in body)


def place(module: str) -> str:
    """Where a module's tests lie: its own place and name; a package's `__init__` is called as its folder."""
    path = MODULES[module].relative_to(ROOT / "versat2i")
    name = path.parent.name or "versat2i"
    return (path.parent / f"test_{name if path.stem == '__init__' else path.stem}.py").as_posix()


def cases(path: Path) -> Iterator[ast.FunctionDef]:
    """The tests in a file."""
    return (
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


OWN = [module for module in MODULES if module.split(".")[0] == "versat2i"]


@pytest.mark.parametrize("module", [module for module in OWN if public(MODULES[module])])
def test_every_module_has_a_test_file_of_its_name_and_place(module):
    path = ROOT / "tests" / place(module)
    assert path.is_file(), f"{module} has no tests: expected is {path.relative_to(ROOT)}"
    assert any(cases(path))


def test_every_test_file_in_a_room_is_about_one_of_its_modules_or_listed():
    paths = (path.relative_to(ROOT / "tests") for path in sorted((ROOT / "tests").glob("*/**/test_*.py")))
    found = {path.as_posix() for path in paths if path.parts[0] not in OTHER}
    assert found - {place(module) for module in OWN} == BESIDE.keys()


def test_the_committed_picture_is_what_the_script_draws():
    path = ROOT / architecture.PICTURE
    assert path.read_text(encoding="utf-8") == architecture.draw(ROOT), (
        f"{architecture.PICTURE} is not of this code: run `python -m versat2i.tools.architecture`"
    )


PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_page_lists_the_rooms_in_their_order_with_what_flows_in_and_out():
    rows = re.findall(r"^\| `(\w+)/` \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.M)
    assert [tuple(cell.replace("\\<", "<") for cell in row) for row in rows] == [
        (room.name, room.does.rstrip("."), *room.flow) for room in architecture.rooms(ROOT) if room.flow
    ]


def test_the_page_shows_the_order_of_the_rooms():
    line = " ".join(re.findall(r"^    (\S.+)$", PAGE, re.M))
    assert [tuple(level.split(", ")) for level in line.split(" < ")] == [
        tuple(room for room in level if room != architecture.PACKAGE) for level in architecture.LEVELS
    ]


def test_every_function_that_the_walk_enters_is_there():
    steps = re.findall(r"`((?:stages|versat2i)/[\w/]+\.py)::(\w+(?:\.\w+)?)`", PAGE)
    assert steps[0] == ("stages/prompts.py", "main") and len(steps) > 20
    for path, name in steps:
        body = ast.parse((ROOT / path).read_text()).body
        for part in name.split("."):
            kinds = (ast.FunctionDef, ast.ClassDef)
            node = next((each for each in body if isinstance(each, kinds) and each.name == part), None)
            assert node is not None, f"{path} has no {name}"
            body = node.body
