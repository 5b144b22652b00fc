"""Every file that a stage reads, spoilt in every way: one line that names it, no traceback, nothing written."""

import json
import shutil
from pathlib import Path

import damage
import pyarrow as pa
import pytest
import small_run

from versat2i.formats import tables

PROMPTS, QUESTIONS = "data/prompts/{}.parquet", "data/questions/{}.parquet"
SHARD = "00000-000"


def table(kind, unread=()):
    """Parquet; `unread` are columns that the stage does not look at."""
    schema = pa.schema([field for field in tables.SCHEMAS[kind] if field.name not in unread])
    return lambda data: [*damage.of_any_file(), *damage.of_a_table(schema, tables.NULLABLE)]


def shard(data):
    return [*damage.of_any_file(), *damage.of_a_shard()]


def adapter(data):
    return [*damage.of_any_file(), *damage.of_tensors(), *damage.of_an_adapter()]


def tensors(data):
    return [*damage.of_any_file(), *damage.of_tensors()]


def losses(data):
    cut = "cut off"  # what is left is a table too
    return [*(way for way in damage.of_any_file() if way[0] != cut), *damage.of_losses()]


def metrics(spare=(), optional=()):
    """JSON; see `damage.of_json`."""

    def ways(data):
        return [*damage.of_any_file(), *damage.of_json(data, spare, optional)]

    return ways


NUMBERS = ("mean", "gain", "low", "high", "win_rate", "score")  # that may not exist
GROUP = ("shapes:seen.", "shapes:held_out.", "base.", "aesthetic.", "mixture.")  # what a group has is shown

EVERY = 8

READS = [
    ("generate", PROMPTS.format("train"), table("prompts")),
    ("score faithfulness", PROMPTS.format("train"), table("prompts")),
    ("score faithfulness", QUESTIONS.format("train"), table("questions")),
    ("score faithfulness", f"data/images/{SHARD}.tar", shard),
    ("score faithfulness", f"data/images/{SHARD}.parquet", table("index")),
    ("select aesthetic", "data/scores/aesthetic.parquet", table("scores", unread=["details"])),
    ("select aesthetic", PROMPTS.format("train"), table("prompts")),
    ("select aesthetic", f"data/images/{SHARD}.tar", shard),
    ("select aesthetic", f"data/images/{SHARD}.parquet", table("index")),
    ("train_lora aesthetic", "data/selected/aesthetic/picks.parquet", table("picks")),
    ("train_lora aesthetic", f"data/selected/aesthetic/images/{SHARD}.tar", shard),
    ("train_lora aesthetic", f"data/selected/aesthetic/images/{SHARD}.parquet", table("index")),
    ("mix uniform", "data/adapters/aesthetic/pytorch_lora_weights.safetensors", adapter),
    ("mix mixture", "data/adapters/aesthetic/pytorch_lora_weights.safetensors", adapter),
    ("mix mixture", "data/selected/faithfulness/picks.parquet", table("picks")),
    ("evaluate aesthetic", "data/adapters/aesthetic/pytorch_lora_weights.safetensors", adapter),
    (
        "evaluate mixture",
        "data/adapters/mixture/mixture.json",
        metrics(spare=("mean_gates", "metadata")),
    ),
    ("evaluate mixture", "data/adapters/mixture/experts.safetensors", tensors),
    ("evaluate mixture", "data/adapters/mixture/gate.safetensors", tensors),
    ("evaluate base", PROMPTS.format("eval"), table("prompts")),
    ("evaluate base", QUESTIONS.format("eval"), table("questions")),
    ("compare", "data/evaluation/mixture/scores.parquet", table("evaluation")),
    ("compare", PROMPTS.format("eval"), table("prompts")),
    ("compare", f"data/evaluation/base/images/{SHARD}.tar", shard),
    ("compare", f"data/evaluation/base/images/{SHARD}.parquet", table("index")),
    ("report", "metrics/evaluate.json", metrics(spare=NUMBERS, optional=("summary.",))),
    ("report", "metrics/groups.json", metrics(spare=NUMBERS, optional=(".", "summary.", *GROUP))),
    ("report", "metrics/select/aesthetic.json", metrics(spare=("threshold", "pool_mean", "pool_std", "picks_mean"))),
    ("report", "metrics/mix/mixture.json", metrics(spare=("first_loss", "last_loss", "steps"))),
    ("report", "plots/train_lora/aesthetic.csv", losses),
    ("report", "plots/mix/mixture.csv", losses),
    (
        "report",
        "data/adapters/mixture/mixture.json",
        metrics(spare=("scope", "rank", "alpha", "metadata"), optional=("mean_gates.",)),
    ),
    ("report", "data/scores/aesthetic.parquet", table("scores", unread=["details"])),
    ("report", "data/selected/aesthetic/picks.parquet", table("picks")),
    ("report", f"data/selected/aesthetic/rejected/{SHARD}.tar", shard),
    ("report", f"data/selected/aesthetic/rejected/{SHARD}.parquet", table("index")),
    ("report", f"data/evaluation/mixture/images/{SHARD}.tar", shard),
    ("report", "data/evaluation/mixture/scores.parquet", table("evaluation")),
    ("report", PROMPTS.format("eval"), table("prompts")),
    ("report", PROMPTS.format("train"), table("prompts")),
    ("select aesthetic", "environment.json", metrics()),
]


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with pytest.MonkeyPatch.context() as patch:
        small_run.quicken(patch)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder):
    return small_run.whole(tmp_path_factory.mktemp("hostile") / "run", model_folder)


def put(path: Path, content: object) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if content is damage.FOLDER:
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)


def complaint(command: tuple[str, ...], path: Path) -> str | None:
    """What is wrong with how a stage takes a file that it must refuse; None: nothing."""
    done = small_run.run(command)
    said = done.stderr.strip().splitlines()
    if done.exit_code == 0:
        return "was taken as sound"
    lines = [line for line in said if line.startswith("Error: ")]
    if not isinstance(done.exception, SystemExit) or "traceback" in done.stderr.lower() or len(lines) != 1:
        return f"ended in {done.exception!r}: {said[-3:]}"
    named = {path.name, path.stem if path.suffix in (".tar", ".parquet") else path.name, *path.parts[-2:-1]}
    return None if any(name in lines[0] for name in named) else f"is not named: {lines[0]}"


def tried(ways, sound, row, torture):
    """All ways to spoil a file in `make torture`; else a part of them, another one for each row of `READS`.

    `test_readers` tries all on what reads the file.
    """
    found = ways(sound)
    return found if torture else found[row % EVERY :: EVERY]


@pytest.mark.parametrize("row", range(len(READS)), ids=[f"{stage}: {path}" for stage, path, _ in READS])
def test_what_is_spoilt_is_refused_in_one_line_that_names_it(finished, torture, counts, row):
    command, path, ways = READS[row]
    spoilt, command = finished / path, tuple(command.split())
    sound, before = spoilt.read_bytes(), small_run.states(finished)
    before.pop(path, None)
    wrong = {}
    with small_run.inside(finished):
        for title, change in tried(ways, sound, row, torture):
            counts[f"bad inputs to stages, {damage.KINDS[spoilt.suffix]}: tried"] += 1
            put(spoilt, change(sound))
            try:
                said = complaint(command, Path(path))
            finally:
                put(spoilt, sound)
            after = small_run.states(finished)
            after.pop(path, None)
            if said is None and after != before:
                said = f"something was written: {sorted(dict(before.items() ^ after.items()))}"
            if said is not None:
                wrong[title] = said
                before = after
            counts[f"bad inputs to stages, {damage.KINDS[spoilt.suffix]}: refused in one line"] += said is None
    assert not wrong, json.dumps(wrong, indent=1)


def test_a_shard_that_is_missing_with_its_index_is_missed(finished, tmp_path):
    with small_run.inside(finished):
        files = [finished / f"data/images/{SHARD}{ending}" for ending in (".tar", ".parquet")]
        for file in files:
            file.rename(tmp_path / file.name)
        try:
            assert complaint(("score", "aesthetic"), Path("data/images")) is None
        finally:
            for file in files:
                (tmp_path / file.name).rename(file)
