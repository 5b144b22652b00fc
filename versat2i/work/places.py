"""Where everything lies: the data flow as folder names."""

import os
from pathlib import Path

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("plots")

IMAGES = DATA / "images"
REPORT = DATA / "report"
SAMPLES = DATA / "samples.png"  # the same prompts drawn by every variant

EMBEDDED = Path("versat2i/shapes/model")  # the model of the embedded world, seen from the root of the project

ROUNDS = Path("rounds")  # at the root: DVC tracks nothing by a .dvc file in what git ignores, as data/
TAG = "round-"  # of git, with a round's number: its results

RECIPE = "mixture.json"  # in the folder of a mixture: what it consists of


def prompts(split: str) -> Path:
    return DATA / "prompts" / f"{split}.parquet"


def questions(split: str) -> Path:
    return DATA / "questions" / f"{split}.parquet"


def scores(aspect: str) -> Path:
    return DATA / "scores" / f"{aspect}.parquet"


def selected(aspect: str) -> Path:
    return DATA / "selected" / aspect


def adapter(name: str) -> Path:
    return DATA / "adapters" / name


def round_of(number: int) -> Path:
    """The LoRA that round `number` began with: in its base, made of the round before."""
    return ROUNDS / str(number)


def evaluation(variant: str) -> Path:
    return DATA / "evaluation" / variant


def metrics(*parts: str) -> Path:
    return METRICS.joinpath(*parts[:-1], f"{parts[-1]}.json")


def plot(*parts: str) -> Path:
    return PLOTS.joinpath(*parts[:-1], f"{parts[-1]}.csv")


def home() -> Path:
    """Where all stores lie: `VERSAT2I_WORK`, else `.work` in the current folder."""
    return Path(os.path.expanduser(os.environ.get("VERSAT2I_WORK") or ".work"))  # noqa: PTH111 - raises without a home


def root(start: Path) -> Path:
    """The project that a folder belongs to: the nearest folder upwards with params.yaml, else the folder itself."""
    return next((folder for folder in (start, *start.parents) if (folder / "params.yaml").is_file()), start)
