"""A small synthetic run, and the report of it."""

from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

import pytest
import synthetic

from versat2i.report import page
from versat2i.settings import params

VOID = {"meta", "link", "img", "input", "br", "path", "use", "image", "rect"}


class Parsed(HTMLParser):
    """The elements of a page, each with its attributes and text, and whether they are well nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


@dataclass(frozen=True)
class Run:
    """A run of the pipeline: where it lies, its params, the folder of its report and the page in it."""

    root: Path
    settings: params.Params
    report: Path
    html: str

    @cached_property
    def parsed(self) -> Parsed:
        return Parsed(self.html)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The run; its folder is the current one only while it is written."""
    root = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        settings = synthetic.write()
        out = root / "data" / "report"
        page.write(settings, out)
    return Run(root, settings, out, (out / page.PAGE).read_text(encoding="utf-8"))


@pytest.fixture
def run(written, monkeypatch):
    """The run, its folder the current one."""
    monkeypatch.chdir(written.root)
    return written
