"""`versat2i doctor` prints what it found, with the remedy below what is wrong."""

from commands import run

from versat2i.tools import doctor
from versat2i.tools.doctor import Finding

GOOD, BAD = Finding("python", "3.12.1"), Finding("disk", "1 GB free", "make room")


def found(monkeypatch, *findings):
    monkeypatch.setattr(doctor, "findings", lambda: list(findings))
    return run("doctor")


def test_what_is_well_is_one_line(monkeypatch):
    result = found(monkeypatch, GOOD)
    assert (result.exit_code, result.output) == (0, "ok  python    3.12.1\n")


def test_what_is_wrong_has_its_remedy_below_and_ends_with_one(monkeypatch):
    result = found(monkeypatch, GOOD, BAD)
    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == ["!!  disk      1 GB free", "              -> make room"]


def test_outside_a_project_it_finds_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("doctor")
    assert result.exit_code == 1 and "params.yaml" in result.output and "Traceback" not in result.output
