"""`versat2i fetch` says how much it fetched."""

from commands import run

from versat2i.tools import fetch


def test_a_project_of_local_models_needs_nothing(clone):
    result = run("fetch")
    assert (result.exit_code, result.output) == (0, "nothing to fetch: params.yaml names no model of a hub\n")


def test_each_line_of_the_work_is_shown_and_then_the_amount(clone, monkeypatch):
    def everything(settings, machine, say):
        say(f"the model of {settings.aspects[0]}")
        return 2

    monkeypatch.setattr(fetch, "everything", everything)
    assert run("fetch").output == "the model of aesthetic\n2 fetched or found\n"


def test_without_params_it_says_so_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("fetch")
    assert result.exit_code == 1 and "params.yaml" in result.output and len(result.output.splitlines()) == 1
