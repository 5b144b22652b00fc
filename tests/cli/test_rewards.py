"""`versat2i rewards` says what each evaluator is and needs."""

from commands import run


def test_rewards_are_listed_with_range_and_licence():
    lines = run("rewards", "geometry").output.splitlines()
    assert lines[0].split()[:3] == ["aspect", "evaluator", "metric"]
    (line,) = [line for line in lines if " regularity " in line]
    assert "0 to 1" in line and "Apache-2.0" in line


def test_an_evaluator_that_needs_options_tells_its_licence_and_the_options():
    lines = {line.split()[1]: line for line in run("rewards").output.splitlines()[1:]}
    for name, option in {"tifa": "vqa", "vqascore": "model", "q_instruct": "model", "image_reward": "model"}.items():
        assert f" {option}" in lines[name] and "Apache-2.0, this project; " in lines[name]
    assert "PolyForm-Noncommercial" in lines["pyiqa:<metric>"]
    assert not any("missing" in line or "does not exist" in line for line in lines.values())


def test_an_unknown_aspect_names_the_close_one():
    result = run("rewards", "geometri")
    assert result.exit_code == 1 and "Did you mean 'geometry'?" in result.output and "Traceback" not in result.output
