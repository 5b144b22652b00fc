"""Draw the rooms of the package and who imports whom, from the code itself: docs/architecture.svg."""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import click

from versat2i.work import files
from versat2i.work.fingerprint import PLUMBING, ROOT

PICTURE = Path("docs/architecture.svg")
PACKAGE = "versat2i"
LEVELS = (
    ("seeds", "words"),
    ("settings",),
    ("work",),
    ("formats",),
    ("models",),
    ("prompts",),
    ("shapes",),
    ("generate", "rewards", "select", "adapters"),
    ("train",),
    ("mix",),
    ("evaluate",),
    ("compare",),
    ("report",),
    ("tools",),
    ("cli", "bench", "stages", PACKAGE),
)
"""Rooms in the order of the data flow: a module imports from its own room and from those of levels before it.
`versat2i` stands for the package's own `__init__`, which holds `versat2i.load`."""
SHARED = ("stages.command", "stages.graph")  # in stages/, and no stage

Graph = Mapping[str, frozenset[str]]  # node -> what it imports from


@dataclass(frozen=True)
class Room:
    """A folder of modules that do one thing.

    Attributes:
        modules: how many it holds, with those of its subfolders.
        does: the first sentence of its `__init__`.
        flow: what flows in and what flows out; None where its `__init__` does not say.
        stages: those of dvc.yaml whose work it does.
    """

    name: str
    modules: int
    does: str
    flow: tuple[str, str] | None
    stages: tuple[str, ...]


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package, of stages/ and of bench/, by its dotted name."""
    found = {}
    for top in (PACKAGE, "stages", "bench"):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(known: Mapping[str, Path]) -> Graph:
    """Imports among the modules, including those within functions and for type checkers."""
    return {module: frozenset(_imported(path.read_text(), known) - {module}) for module, path in known.items()}


def _imported(source: str, known: Mapping[str, Path]) -> set[str]:
    named: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"line {node.lineno} imports relative to its folder; name the module in full")
            inside = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            named |= {name if name in known else str(node.module) for name in inside.values()}
    return named & known.keys()


def room_of(module: str) -> str:
    """The room that a module lies in: the folder below the package, or stages, or bench."""
    first, *rest = module.split(".")
    return rest[0] if first == PACKAGE and rest else first


def merged(graph: Graph, into: Mapping[str, str]) -> Graph:
    """The graph of groups: which group imports from which other one.

    Args:
        graph: of modules.
        into: module -> its group.
    """
    found: dict[str, set[str]] = {group: set() for group in into.values()}
    for module, targets in graph.items():
        found[into[module]] |= {into[target] for target in targets} - {into[module]}
    return {group: frozenset(targets) for group, targets in found.items()}


def reached(graph: Graph, start: str) -> set[str]:
    """Return all that a node imports, directly or by way of others."""
    found: set[str] = set()
    todo = set(graph[start])
    while todo:
        found |= todo
        todo = set().union(*(graph[node] for node in todo)) - found
    return found


def circles(graph: Graph) -> list[str]:
    """The nodes that import themselves by way of others."""
    return sorted(node for node in graph if node in reached(graph, node))


def direct(graph: Graph) -> Graph:
    """The imports that no longer way shows too (the transitive reduction; the graph has no circle)."""
    return {
        node: frozenset(t for t in targets if not any(t in reached(graph, other) for other in targets))
        for node, targets in graph.items()
    }


def flow(docstring: str) -> tuple[str, tuple[str, str] | None]:
    """The first line of a room's `__init__`: what it does, and ``In: ... Out: ...``."""
    line = docstring.strip().splitlines()[0]
    match = re.fullmatch(r"(.+?[.!?]) In: (.+)\. Out: (.+)\.", line)
    return (match[1], (match[2], match[3])) if match else (line, None)


def _stages(graph: Graph, order: list[str]) -> dict[str, list[str]]:
    """The stages by the room whose work they do: the last one that they import from."""
    found: dict[str, list[str]] = {}
    for module, targets in graph.items():
        if module.startswith("stages.") and module not in SHARED:
            used = {room_of(target) for target in targets} - {"stages"}
            for room in [room for room in order if room in used][-1:]:
                found.setdefault(room, []).append(module.removeprefix("stages."))
    return found


def rooms(root: Path) -> list[Room]:
    """The folders of the package, then bench and stages, in the order of `LEVELS`."""
    known = modules(root)
    graph = imports(known)
    order = [room for level in LEVELS for room in level if room not in (PACKAGE, *LEVELS[0])]
    doing = _stages(graph, order)
    found = []
    for room in order:
        own = [module for module in known if room_of(module) == room]
        does, flows = flow(ast.get_docstring(ast.parse(known[min(own, key=len)].read_text())) or room)
        found.append(Room(room, len(own), does, flows, tuple(doing.get(room, ()))))
    return found


# ------------------------------------------------------------------------------------------------ the picture

WIDTH, ROW, TOP, BOTTOM = 1060, 48, 52, 62  # pixels
LEFT, BOX, HEIGHT = 222, 176, 36  # of the boxes: where they begin, their width and height
SPINE, TEXT = LEFT + BOX + 22, LEFT + BOX + 46  # x of the data flow and of the words beside it
FILL = {"plumbing": "#eceff1", "library": "#fdf3d8", "stage": "#dcebfa", "beside": "#e3f1e3"}
EDGE = {"plumbing": "#90a4ae", "library": "#d9a520", "stage": "#2f78c4", "beside": "#55a05a"}
SAID = {
    "plumbing": "says where and when, never what comes out",
    "library": "drawn on by stages",
    "stage": "the stages and their work",
    "beside": "beside the pipeline",
}
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"


def _kind(room: Room) -> str:
    if f"{PACKAGE}.{room.name}" in PLUMBING:
        return "plumbing"
    if room.stages or room.name == "stages":
        return "stage"
    return "beside" if room.name in ("tools", *LEVELS[-1]) else "library"


def _text(x: float, y: float, words: str, size: int = 12, **style: str) -> str:
    told = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    plain = escape(words.replace("`", ""))
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}"{told}>{plain}</text>'


def _box(room: Room, y: float) -> list[str]:
    kind = _kind(room)
    amount = f"{room.modules} module{'s' * (room.modules != 1)}"
    stages = f"stage {', '.join(room.stages)}" if room.stages else ""
    lines = [
        f'<rect x="{LEFT}" y="{y - HEIGHT / 2:g}" width="{BOX}" height="{HEIGHT}" rx="6" fill="{FILL[kind]}" '
        f'stroke="{EDGE[kind]}"/>',
        _text(LEFT + 12, y - 1, room.name, 14, font_weight="600"),
        _text(LEFT + 12, y + 12, amount, 10, fill="#5b6770"),
    ]
    if stages:
        lines.append(_text(LEFT + BOX - 10, y + 12, stages, 10, fill=EDGE["stage"], text_anchor="end"))
    if room.flow is None:
        return [*lines, _text(TEXT, y + 4, room.does)]
    return [
        *lines,
        _text(TEXT, y - 3, room.does),
        _text(TEXT, y + 13, f"{room.flow[0]}  →  {room.flow[1]}", 11, fill="#5b6770"),
    ]


def _arc(start: float, end: float, strong: bool) -> str:
    """Draw a curve from the lower half of a box to the upper half of one above it, the wider the farther."""
    out = LEFT - 20 - 0.26 * (start - end)  # where its handles are; it comes three quarters as far
    x, y1, y2 = LEFT - 1, start + 7, end - 5
    style = 'stroke="#37474f" stroke-width="1.3" marker-end="url(#tip)"' if strong else 'stroke="#dde4e7"'
    return f'<path d="M{x} {y1:g} C{out:.1f} {y1:g} {out:.1f} {y2:g} {x - 6 * strong} {y2:g}" fill="none" {style}/>'


def _spine(ys: Iterable[float]) -> list[str]:
    """The data flow: a line from the first stage's room to the last one's, a dot at each."""
    places = list(ys)
    line = f'<path d="M{SPINE} {places[0]:g} V{places[-1]:g}" stroke="{EDGE["stage"]}" stroke-width="3"/>'
    return [line, *(f'<circle cx="{SPINE}" cy="{y:g}" r="5" fill="{EDGE["stage"]}"/>' for y in places)]


def _legend(y: float) -> list[str]:
    lines, x = [], LEFT
    for kind, words in SAID.items():
        shape = f'x="{x}" y="{y - 10:g}" width="14" height="12" rx="3"'
        lines.append(f'<rect {shape} fill="{FILL[kind]}" stroke="{EDGE[kind]}"/>')
        lines.append(_text(x + 20, y, words, 11))
        x += 48 + 6 * len(words)
    return lines


def svg(found: list[Room], graph: Graph) -> str:
    """The picture: a row a room in the order of the data flow, arrows from each room to those it imports from.

    An arrow is faint where a longer way shows the import too. Every arrow points up, since rooms
    import only from rooms before them.

    Args:
        found: the rooms, from `rooms`.
        graph: of rooms, without a circle.
    """
    ys = {room.name: TOP + ROW * (row + 0.5) for row, room in enumerate(found)}
    strong = direct({name: graph[name] & ys.keys() for name in ys})
    arcs = sorted((target in strong[name], name, target) for name in ys for target in graph[name] & ys.keys())
    height = TOP + ROW * len(found) + BOTTOM
    caption = (
        "Arrow: imports from. Faint: a longer way shows it too. Blue line: the data flow. Beside a room: in → out."
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="{FONT}" fill="#1f2a30">',
        "<title>The rooms of versat2i and their imports</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#37474f"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 32, "The rooms of versat2i", 18, font_weight="600"),
        *(_arc(ys[name], ys[target], firm) for firm, name, target in arcs),
        *_spine(ys[room.name] for room in found if room.stages),
        *(line for room in found for line in _box(room, ys[room.name])),
        *_legend(height - 40),
        _text(LEFT, height - 16, caption, 11, fill="#5b6770"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def draw(root: Path) -> str:
    """The picture of the code below a folder."""
    known = modules(root)
    return svg(rooms(root), merged(imports(known), {module: room_of(module) for module in known}))


@click.command()
def main() -> None:
    """Draw docs/architecture.svg from the imports of the code.

    \b
    Example:
        python -m versat2i.tools.architecture
    """
    with files.new_file(ROOT / PICTURE) as partial:
        partial.write_text(draw(ROOT), encoding="utf-8")
    click.echo(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
