"""`versat2i rewards` says what each evaluator is and needs."""

from commands import run

from versat2i.rewards.common import iqa


def test_rewards_are_listed_with_range_and_licence():
    lines = run("rewards", "geometry").output.splitlines()
    assert lines[0].split()[:3] == ["aspect", "evaluator", "metric"]
    (line,) = [line for line in lines if " regularity " in line]
    assert "0 to 1" in line and "Apache-2.0" in line


def test_an_evaluator_that_needs_options_tells_its_licence_and_the_options():
    table, _ = run("rewards").output.split("\n\n")
    lines = {line.split()[1]: line for line in table.splitlines()[1:]}
    for name, option in {"tifa": "vqa", "vqascore": "model", "q_instruct": "model", "image_reward": "model"}.items():
        assert f" {option}" in lines[name] and "Apache-2.0, this project; " in lines[name]
    assert "PolyForm-Noncommercial" in lines["pyiqa:<metric>"]
    assert not any("missing" in line or "does not exist" in line for line in lines.values())


def test_metrics_of_pyiqa_are_told_apart_by_what_is_installed(monkeypatch):
    lacking = {"laion_aes": "pkg_resources", "liqe": "pkg_resources", "qalign": "icecream"}
    monkeypatch.setattr(iqa, "lacking", lambda: {name: lacking.get(name) for name in iqa.names()})
    work, *others = run("rewards", "judges").output.split("\n\n")[1].splitlines()
    count = len(iqa.names())
    assert work.startswith(f"pyiqa:<metric> works here with {count - 3} of {count}: ")
    assert {"musiq", "topiq_iaa"} <= set(work.split(": ")[1].split(", ")) and "liqe," not in work
    assert others == [
        "not installed: pkg_resources, needed by laion_aes, liqe",
        "not installed: icecream, needed by qalign",
    ]


def test_without_pyiqa_all_other_evaluators_are_listed(monkeypatch):
    monkeypatch.setattr(iqa, "find_spec", lambda name: None)
    iqa._configs.cache_clear()
    try:
        result = run("rewards")
    finally:
        monkeypatch.undo()
        iqa._configs.cache_clear()
    assert result.exit_code == 0 and " regularity " in result.output
    assert "need pyiqa, which is not installed" in result.output.splitlines()[-1]


def test_an_unknown_aspect_names_the_close_one():
    result = run("rewards", "geometri")
    assert result.exit_code == 1 and "Did you mean 'geometry'?" in result.output and "Traceback" not in result.output
