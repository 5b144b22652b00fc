"""Results of two git revisions side by side."""

import tempfile
from itertools import islice
from pathlib import Path

import pandas as pd
from PIL import Image

from versat2i.compare import grid
from versat2i.compare.results import Evaluation, title
from versat2i.formats import metrics as metric_files
from versat2i.formats import records, tables
from versat2i.work import commands, places

WORKSPACE = "workspace"  # the files as they are now, committed or not


def metrics(revision: str) -> Evaluation:
    """metrics/evaluate.json at a revision; `workspace` is the file as it is now.

    Raises:
        ValueError: there is no such revision, or it has no results, or other content than results.
    """
    path = places.metrics("evaluate")
    if revision == WORKSPACE:
        if not path.exists():
            raise ValueError(f"{path}: no results yet. Run `dvc repro` first")
        return records.read(path, Evaluation)
    try:
        commands.output("git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except commands.Failed as error:
        if error.reason:  # it is quiet about a revision that is not there, and only about that
            raise
        raise ValueError(f"git knows no revision {revision!r}; expected a branch, a tag or a commit") from None
    place = f"{revision}:./{path.as_posix()}"
    try:
        text = commands.output("git", "show", place)
    except commands.Failed as error:
        if "not in" not in error.reason and "does not exist" not in error.reason:
            raise
        raise ValueError(
            f"{revision} has no results: {path} is not in that commit. Run `dvc repro` there and commit metrics/"
        ) from None
    return records.expect(metric_files.parse_json(text, place, "Compare another revision"), place, Evaluation)


def changes(before: Evaluation, after: Evaluation) -> pd.DataFrame:
    """Compare the variants and metrics that both have, one row each.

    Args:
        before: the one's results.
        after: the other's.

    Returns:
        ``variant, metric, before, after, change, gain before, gain after``: means in the metric's own
        unit, their change (above zero is better), and gains over base with their 95 % intervals as text
        (none for base itself).
    """
    rows = []
    for variant, results in after.variants.items():
        for metric, new in results.items():
            old = before.variants.get(variant, {}).get(metric)
            if old is not None and old.mean is not None and new.mean is not None:
                gains = ["" if each.gain is None else each.told() for each in (old, new)]
                lower = old.lower_is_better or new.lower_is_better
                change = old.mean - new.mean if lower else new.mean - old.mean
                rows.append((variant, title(metric, lower), old.mean, new.mean, change, *gains))
    return pd.DataFrame(rows, columns=["variant", "metric", "before", "after", "change", "gain before", "gain after"])


def expect_picture(path: Path) -> None:
    """Raise a ValueError unless a picture can be written there: checked before the work, not after it."""
    Image.init()
    known = sorted(ending for ending, kind in Image.EXTENSION.items() if kind in Image.SAVE)
    if path.suffix.lower() not in known:
        raise ValueError(f"{path}: its ending says no kind of picture; expected one such as .png, .jpg or .webp")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; expected a file to write")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent} to write it into")


def images(revisions: list[str], variant: str, split: str, rows: int, out: Path) -> Path:
    """A grid of one variant's images at several revisions, for prompts that all of them have.

    DVC fetches what the cache lacks from the remote.

    Raises:
        ValueError: DVC cannot get them, or no prompt is in all.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = {revision: _fetch(revision, variant, split, Path(folder)) for revision in dict.fromkeys(revisions)}
        texts = [tables.texts(prompts) for _, prompts in found.values()]
        shared = {key: text for key, text in texts[0].items() if all(key in other for other in texts)}
        if not shared:
            raise ValueError(f"{' and '.join(found)} have no evaluation prompt in common")
        shown = dict(islice(shared.items(), rows))
        columns = grid.evaluated({revision: shards for revision, (shards, _) in found.items()}, shown)
        grid.side_by_side(columns, list(shown.values())).save(out)
    return out


def _fetch(revision: str, variant: str, split: str, folder: Path) -> tuple[Path, Path]:
    """Folder of the shards and file of the prompts at a revision."""
    evaluation, prompts = places.evaluation(variant), places.DATA / "prompts"
    if revision == WORKSPACE:
        return evaluation / "images", places.prompts(split)
    for number, path in enumerate((evaluation, prompts)):
        commands.output(
            "dvc", "get", ".", path.as_posix(), "--rev", revision, "--out", str(folder / f"{revision}-{number}")
        )
    return folder / f"{revision}-0" / "images", folder / f"{revision}-1" / f"{split}.parquet"
