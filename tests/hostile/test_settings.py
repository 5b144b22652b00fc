"""Params, compute.yaml, prompt files and names on the command line that mean harm: one line each, nothing written."""

import csv
import io
import json
import os
from pathlib import Path

import damage
import drawn
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_run
import yaml
from test_stage_inputs import complaint, put

from versat2i.formats import tables
from versat2i.settings import params

BOMB = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)
TRICKS = {
    "aliases that stand for millions": BOMB,
    "a value that holds itself": "seed: &a [*a]",
    "nested too deeply": "seed: " + "[" * 50_000,
    "a megabyte": "# " + "x" * 2**20,
    "an object of Python": "seed: !!python/object/apply:os.system ['touch pickled']",
    "a name of Python": "seed: !!python/name:os.system",
    "a module of Python": "!!python/module:os",
    "a tag": "seed: !x 1",
    "binary": "seed: !!binary aGVsbG8=",
    "two documents": "---\na: 1\n---\nb: 2",
    "NUL": "seed: \0",
    "an escape": "seed: \x1b[2J",
    "a list": "- 1",
    "a text": "hello",
    "a date": "seed: 2020-13-45",
    "octal": "seed: 010",
    "sixties": "seed: 1:30",
    "a merge of no mapping": "<<: 1",
    "unknown alias": "seed: *nobody",
    "UTF-16": "\ufeffseed: 1".encode("utf-16"),
    "Latin-1": b"seed: \xe9",
}
"""YAML files that no setting is taken from."""

READERS = (
    "prompts",
    *(" ".join(stage) for stage in small_run.STAGES[1:] if stage[-1] not in ("faithfulness", "uniform")),
)
"""A stage of each kind: all read params."""

NAMES = (
    "../../up",
    "/etc/passwd",
    "a/b",
    "..",
    ".",
    "a\nb",
    "\u202eb",
    "x" * 5000,
    "",
    "-x",
    "$(touch pickled)",
    "<b>",
)

PROMPTS = {
    "a megabyte": "x" * 2**20,
    "NUL": "a\0b",
    "an escape": "a\x1b[2Jb",
    "a bell": "a\x07b",
    "delete": "a\x7fb",
    "nothing": "",
    "blanks": " \u00a0 ",
}
"""Texts that are no prompts."""

ODD = (
    "\u202eright to left",
    "<script>alert(1)</script>",
    "a\u2028b",
    "'; DROP TABLE prompts",
    "{{ 7 * 7 }}",
    "\u0627\u0644",
)
"""Texts that are prompts all the same."""


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with pytest.MonkeyPatch.context() as patch:
        small_run.quicken(patch)
        patch.setattr(params, "load", params.load.__wrapped__)  # read again each time
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder):
    return small_run.whole(tmp_path_factory.mktemp("settings") / "run", model_folder)


@pytest.fixture
def refused(finished, counts):
    """``refused(command, file, cases)``: each content of a file is refused in one line that names it."""

    def check(command, file, cases, names=None):
        path = finished / file
        sound = path.read_bytes() if path.exists() else None
        before, wrong = small_run.states(finished), {}
        for title, content in cases.items():
            put(path, content.encode() if isinstance(content, str) else content)
            with small_run.inside(finished):
                said = complaint(command, Path(names or file))
            if said is None and small_run.states(finished) != before:
                said = "something was written"
            if (finished / "pickled").exists():
                said = "it was run"
            kind = damage.KINDS[path.suffix] if names is None else "prompt files"
            counts[f"bad inputs to stages, {kind}: tried"] += 1
            counts[f"bad inputs to stages, {kind}: refused in one line"] += said is None
            if said is not None:
                wrong[title] = said
        put(path, sound)
        assert wrong == {}

    return check


def texts_of(data):
    """A file as it is, spoilt in every way that any file may be."""
    cut = "cut off"  # what is left may be settings too
    return {
        title: change(data) for title, change in damage.of_any_file() if title not in (cut, "missing", "empty", "zeros")
    }


@pytest.mark.parametrize("command", READERS if "VERSAT2I_TORTURE" in os.environ else READERS[:1])
def test_params(refused, finished, command):
    text = (finished / "params.yaml").read_text()
    files = {"missing": None, "empty": "", "zeros": bytes(100), "a key twice": f"{text}\nseed: 1\n"}
    refused(tuple(command.split()), "params.yaml", TRICKS | files | texts_of(text.encode()))


@pytest.mark.parametrize("command", READERS)
def test_names_in_params(refused, finished, command):
    content = yaml.safe_load((finished / "params.yaml").read_text())

    def renamed(name):
        changed = content | {"aspects": [name, *content["aspects"][1:]]}
        for section in ("rewards", "select", "train_lora"):
            changed[section] = {name if key == "aesthetic" else key: value for key, value in content[section].items()}
        variants = [name if variant == "aesthetic" else variant for variant in content["evaluate"]["variants"]]
        changed["evaluate"] = content["evaluate"] | {"variants": variants}
        return drawn.yaml_text(changed)

    refused(tuple(command.split()), "params.yaml", {repr(name)[:20]: renamed(name) for name in NAMES})


def test_compute(refused, finished):
    text = (finished / "compute.yaml").read_text()
    more = {"a key twice": f"{text}\ndevice: cpu\n", "unknown": "wokers: 2", "zeros": bytes(100)}
    refused(("generate",), "compute.yaml", TRICKS | more | texts_of(text.encode()))


def written(kind, text):
    """A prompt file of a kind with one sound prompt and this one."""
    rows = [{"text": "a red circle"}, {"text": text}]
    if kind == "json":
        return json.dumps(rows).encode()
    if kind == "jsonl":
        return "\n".join(json.dumps(row) for row in rows).encode()
    if kind == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        return buffer.getvalue()
    if kind == "csv":
        buffer = io.StringIO()
        csv.DictWriter(buffer, ["text"], quoting=csv.QUOTE_ALL).writerows([{"text": "text"}, *rows])
        return buffer.getvalue().encode()
    return f"a red circle\n{text}\n".encode()


KINDS = ("json", "jsonl", "parquet", "csv", "txt")


@pytest.fixture
def source(finished):
    """``source(kind)``: params that take their train prompts from a file of that kind."""
    path = finished / "params.yaml"
    text = path.read_text()

    def use(kind):
        content = yaml.safe_load(text)
        content["prompts"]["train"] = [{"file": f"mine.{kind}"}]
        path.write_text(drawn.yaml_text(content))
        return f"mine.{kind}"

    yield use
    path.write_text(text)


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_files(refused, source, kind):
    spared = ("nothing", "blanks") if kind == "txt" else ()  # an empty line is no prompt
    cases = {title: written(kind, text) for title, text in PROMPTS.items() if title not in spared}
    sound = written(kind, "a star")
    damaged = {title: change(sound) for title, change in damage.of_any_file()}
    if kind in ("txt", "csv"):  # any line is a prompt of a txt file, and half of a csv file is one
        damaged = {title: damaged[title] for title in ("missing", "a folder", "empty", "zeros", "garbage")}
    file = source(kind)
    refused(("prompts",), file, cases | damaged, names=file)


@pytest.mark.parametrize("kind", KINDS)
def test_odd_prompts_are_kept_as_they_are(finished, source, kind):
    lines = [text for text in ODD if kind != "txt" or "\n" not in text]
    file = finished / source(kind)
    for text in lines:
        file.write_bytes(written(kind, text))
        with small_run.inside(finished):
            done = small_run.run(("prompts",))
            assert done.exit_code == 0, (text, done.stderr)
            found = tables.texts(finished / "data/prompts/train.parquet").values()
        assert list(found) == ["a red circle", " ".join(text.split())]
    file.unlink()


@pytest.mark.parametrize("stage", ["score", "select", "train_lora", "mix", "evaluate"])
def test_names_on_the_command_line(finished, counts, stage):
    before, wrong = small_run.states(finished, "."), {}
    for name in NAMES:
        with small_run.inside(finished):
            done = small_run.run((stage, "--", name))
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        counts["bad inputs to stages, names: tried"] += 1
        sound = done.exit_code and isinstance(done.exception, SystemExit) and len(lines) == 1 and len(lines[0]) < 3000
        written = {
            n for n, s in small_run.states(finished, ".").items() if before.get(n) != s and ".work/errors" not in n
        }
        counts["bad inputs to stages, names: refused in one line"] += bool(sound and not written)
        if not sound or written:
            wrong[name[:20]] = done.stderr[-300:], sorted(written), repr(done.exception)
    assert wrong == {}
