"""Prompts that are longer than the text encoder reads are counted and named, truly, by the stages that they pass."""

import json

import pytest
import small_run
import yaml

CLAUSE = "a red circle above a blue square"
LONG = f"{' and '.join([CLAUSE] * 4)} on a navy background"  # the tiny encoder reads 24 tokens


@pytest.fixture(scope="module")
def said(tmp_path_factory, model_folder):
    """What the stages `prompts` and `generate` say of one long prompt and one short, in a folder with their metrics."""
    root = tmp_path_factory.mktemp("long")
    small_run.start(root, model_folder)
    settings = yaml.safe_load((root / "params.yaml").read_text())
    row = {"question": "Is the background navy?", "choices": ["yes", "no"], "answer": "yes", "element_type": "other"}
    rows = [{"prompt": text} | row for text in (LONG, CLAUSE)]
    (root / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings["prompts"]["train"] = [{"file": "texts.jsonl"}]
    settings["generate"]["steps"] = 1
    (root / "params.yaml").write_text(yaml.safe_dump(settings))
    with small_run.inside(root):
        done = {name: small_run.run((name,)) for name in ("prompts", "generate")}
    assert [each.exit_code for each in done.values()] == [0, 0], [each.output for each in done.values()]
    return root, done


@pytest.mark.parametrize("name, what", [("prompts", "prompts: train"), ("generate", "generate")])
def test_a_long_prompt_is_named_in_one_line_and_no_other_word_is_said(said, name, what):
    lines = [line for line in said[1][name].stderr.splitlines() if "longer" in line]
    (line,) = lines
    told = "1 prompt is longer than the text encoder reads, its end is not drawn"
    assert line.startswith(f"{what}: {told}: '{LONG[:20]}")
    assert "indexing errors" not in said[1][name].output


def test_metrics_count_it_and_the_questions_about_its_end(said):
    root, _ = said
    counts = json.loads((root / "metrics/prompts.json").read_text())
    assert counts["train"]["cut"] == 1 and counts["train"]["questions_cut"] == 1
    assert "cut" not in counts["dev"]
    assert json.loads((root / "metrics/generate.json").read_text())["cut"] == 1
