"""`versat2i check` prints what is found, and ends with one where something is wrong."""

import drawn
import pytest
import tiny_families
from commands import run
from tried import settings


@pytest.fixture
def sd15(tmp_path):
    return tiny_families.folder("sd15", tmp_path / "sd15")


@pytest.fixture
def clone(tmp_path, sd15, monkeypatch):
    """A folder with params that name another model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(settings("nowhere").model_dump(mode="json")))
    return tmp_path


def test_the_command_ends_with_one_only_where_something_is_wrong(clone, sd15):
    fine = run("check", str(sd15))
    assert fine.exit_code == 0, fine.output
    assert [line.split()[:2] for line in fine.output.splitlines()] == [
        ["ok", what] for what in ("model", "schedule", "image", "training", "export", "low_level")
    ]
    wrong = run("check")
    assert wrong.exit_code == 1
    assert wrong.output.splitlines()[1].strip().startswith("-> model.path: nowhere is no diffusers folder")


def test_a_model_is_a_folder_or_a_pinned_repository(clone):
    assert run("check", "owner/nothing").output == (
        "Error: owner/nothing: there is no such folder; a repository is named as OWNER/NAME@REVISION\n"
    )
    assert (
        "model.repo: owner/nothing at revision 0123 was not downloaded before"
        in run("check", "owner/nothing@0123").output
    )
