"""The next round begins on a finished one that git has: by real DVC, in a copy of the project, on a random model."""

import json
import shutil

import pytest
import tiny
import yaml
from projects import GIT, commit, copy_project, put, ran, run, tiny_params, without

import versat2i
from versat2i.formats import tensors
from versat2i.settings import params
from versat2i.tools import export, next_round
from versat2i.work.fingerprint import ROOT

DROPPED = {"faithfulness", "geometry", "uniform"}


def begun(root, *variant, check=True):
    """What `make next-round` runs."""
    return run(root, "python", "-m", "versat2i.tools.next_round", *variant, check=check)


def refused(root, *variant):
    done = begun(root, *variant, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def results(root):
    return json.loads((root / "metrics/evaluate.json").read_text())


def images(root, variant):
    """The bytes of a variant's images."""
    return [path.read_bytes() for path in sorted((root / "data/evaluation" / variant / "images").glob("*.tar"))]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A project after its first run and two more rounds, and what happened on the way."""
    folder = tmp_path_factory.mktemp("rounds")
    root = copy_project(folder / "versat2i", tiny.pipeline_folder(folder / "model"))
    settings = tiny_params(root)
    without(DROPPED, settings)
    put(root, settings)
    # as people write it: with comments
    text = (root / "params.yaml").read_text().replace("\nmodel:", "\n# the base model\nmodel:")
    (root / "params.yaml").write_text(text)
    told = {"unfinished": refused(root)}
    run(root, "dvc", "repro")
    told["uncommitted"] = refused(root)
    commit(root, "Round 0")
    run(root, "git", "tag", "round-0")
    told["unknown"] = refused(root, "mixtrue")
    told["base 0"] = images(root, "base")
    told["begun 1"] = begun(root).stdout
    told["params"] = (text, (root / "params.yaml").read_text())
    run(root, "python", "-m", "stages.graph")
    told["twice"] = refused(root)
    told["ran 1"] = ran(run(root, "dvc", "repro").stdout)
    commit(root, "Round 1")
    run(root, "git", "tag", "round-1")
    told["begun 2"] = begun(root, "aesthetic").stdout
    run(root, "python", "-m", "stages.graph")
    run(root, "dvc", "repro")
    return root, told


@pytest.mark.slow
def test_an_unfinished_run_an_uncommitted_one_and_one_that_has_begun_are_refused_in_one_line(story):
    _, told = story
    assert "round 0 is not finished: " in told["unfinished"] and "Run `make repro` first" in told["unfinished"]
    assert "round 0 has no commit with the tag round-0" in told["uncommitted"]
    assert 'git commit -m "Round 0" && git tag round-0' in told["uncommitted"]
    assert "round 1 is not finished: " in told["twice"]
    assert "VARIANT=mixtrue: is none of aesthetic, low_level, mixture. Did you mean 'mixture'?" in told["unknown"]


@pytest.mark.slow
def test_what_follows_is_said_with_commit_and_tag(story):
    _, told = story
    expected = 'git commit -m "Round 1: mixture of round 0 in the base" && git tag round-1'
    assert f"git add rounds dvc.lock dvc.yaml params.yaml metrics plots && {expected}" in told["begun 1"]
    assert "Now `make repro`" in told["begun 1"]


@pytest.mark.slow
def test_gates_that_look_at_the_image_are_compared_with_their_means_on_dev_and_a_plain_lora_is_not(story):
    _, told = story
    lines = told["begun 1"].splitlines()
    assert "with its mean gates" in lines[0]
    metrics = {line.split()[0] for line in lines[2:] if "[" in line}
    assert {"aesthetic", "low_level", "diversity"} <= metrics
    assert told["begun 2"].splitlines()[0] == "rounds/2: aesthetic, exactly"


@pytest.mark.slow
def test_params_have_one_more_folder_and_the_first_base_as_a_variant_and_keep_their_comments(story):
    root, told = story
    before, after = told["params"]
    assert "# the base model\n" in after and set(after.splitlines()) - set(before.splitlines())
    assert params.parse(after).model.start == ("rounds/1",)
    assert params.parse(after).evaluate.variants == ["first", "base", "aesthetic", "low_level", "mixture"]
    assert params.load(root / "params.yaml").model.start == ("rounds/1", "rounds/2")


def test_of_the_shipped_params_only_two_lines_change():
    for file in (ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))):
        before = file.read_text()
        after = next_round.appended(before, "rounds/1")
        gone = [line for line in before.splitlines() if line not in after.splitlines()]
        new = [line for line in after.splitlines() if line not in before.splitlines()]
        assert len(gone) <= 2 and len(new) == 2, (file, gone, new)
        expected = yaml.safe_load(before)
        expected["model"]["start"] = ["rounds/1"]
        variants = expected["evaluate"]["variants"]
        variants.insert(variants.index("base"), "first")
        assert yaml.safe_load(after) == expected
        twice = yaml.safe_load(next_round.appended(after, "rounds/2"))
        assert twice["model"]["start"] == ["rounds/1", "rounds/2"]
        assert twice["evaluate"]["variants"] == variants


@pytest.mark.slow
def test_a_round_lies_at_the_root_tracked_by_dvc_and_left_out_by_git(story):
    root, _ = story
    tracked = run(root, "git", "ls-files", "rounds").stdout.split()
    assert tracked == ["rounds/.gitignore", "rounds/1.dvc"]  # the second is not committed yet
    status = run(root, "git", "status", "--short", "rounds").stdout.split()
    assert status == ["M", "rounds/.gitignore", "??", "rounds/2.dvc"]


@pytest.mark.slow
def test_a_round_draws_scores_selects_and_trains_again(story):
    _, told = story
    stages = {stage.split("@")[0] for stage in told["ran 1"]}
    assert {"generate", "score", "select", "train_lora", "mix", "evaluate", "compare", "report"} <= stages


@pytest.mark.slow
def test_gains_over_the_last_and_the_first_base_stand_in_the_metrics(story):
    root, told = story
    table = results(root)
    for metric, entry in table["base"].items():
        assert {"gain", "low", "high"} <= set(entry["over_first"]) or entry["mean"] is None, metric
    mixture, first = table["mixture"]["aesthetic"], table["first"]["aesthetic"]
    gained = mixture["over_first"]["gain"] - mixture["gain"]  # of means over the same prompts
    assert gained == pytest.approx(-first["gain"], abs=3e-6)
    assert images(root, "first") == told["base 0"]


@pytest.mark.slow
def test_the_report_shows_the_same_prompts_by_every_round(story):
    root, _ = story
    assert (root / "data/report/images/rounds.webp").is_file()
    assert 'src="images/rounds.webp"' in (root / "data/report/index.html").read_text()


@pytest.mark.slow
def test_the_curve_over_tags_and_when_to_stop_are_told(story):
    root, _ = story
    said = run(root, "versat2i", "rounds", check=False)
    assert said.returncode == 0, said.stderr
    rows = [line.split()[:2] for line in said.stdout.splitlines()]
    assert ["0", "aesthetic"] in rows and ["1", "low_level"] in rows and ["1", "diversity"] in rows


@pytest.mark.slow
def test_one_exported_file_on_the_first_base_is_the_expert_of_the_third_model(story, tmp_path, monkeypatch):
    root, _ = story
    monkeypatch.chdir(root)
    plain, _ = export.export(root / "data/adapters/low_level", tmp_path)
    state, metadata = tensors.read(plain)
    rank = next(len(weight) for name, weight in state.items() if name.endswith("lora_A.weight"))
    assert "start" not in metadata and rank == 2 * 2 + 2 + 2  # two experts' mean, one expert, this expert
    assert versat2i.load(root / "data/adapters/low_level").unet is not None


@pytest.mark.slow
def test_a_colleague_pulls_the_rounds_and_has_nothing_to_run(story, tmp_path):
    root, _ = story
    run(root, "git", "add", "-A")
    run(root, *GIT, "commit", "-qm", "Round 2")
    run(root, "dvc", "remote", "add", "--force", "--default", "team", str(tmp_path / "remote"))
    run(root, "dvc", "push")
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "-q", str(root), str(other))
    shutil.copy(root / ".dvc/config", other / ".dvc/config")
    run(other, "dvc", "pull")
    assert ran(run(other, "dvc", "repro").stdout) == []
    assert (other / "rounds/2/pytorch_lora_weights.safetensors").is_file()
