"""Images of several variants side by side: same prompt, same seed, one row a prompt."""

from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from versat2i.formats import shards, tables
from versat2i.work import files as work_files
from versat2i.work import places

MARGIN = 6  # pixels around everything
TEXT_HEIGHT = 16  # pixels

Images = list[NDArray[np.uint8]]  # [height, width, 3] each


def side_by_side(columns: dict[str, Images], labels: list[str], scale: int = 2) -> Image.Image:
    """A grid with one column a variant and one row an image, labelled.

    Args:
        columns: variant -> its images, as many as there are labels, all of one size.
        labels: what stands beside each row.
        scale: whole-number enlargement of each image.
    """
    height, width = (scale * side for side in next(iter(columns.values()))[0].shape[:2])
    font = ImageFont.load_default()
    row, column = height + MARGIN, width + MARGIN
    right = MARGIN + len(columns) * column
    size = (int(right + max(map(font.getlength, labels)) + MARGIN), TEXT_HEIGHT + MARGIN + len(labels) * row)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for x, (variant, images) in enumerate(columns.items()):
        pen.text((MARGIN + x * column, MARGIN // 2), variant, "black", font)
        for y, image in enumerate(images):
            enlarged = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (MARGIN + x * column, TEXT_HEIGHT + MARGIN + y * row))
    for y, label in enumerate(labels):
        pen.text((right, TEXT_HEIGHT + MARGIN + y * row + (height - TEXT_HEIGHT) // 2), label, "black", font)
    return sheet


def evaluated(folders: dict[str, Path], texts: dict[str, str]) -> dict[str, Images]:
    """Each variant's first image of each prompt, for `side_by_side`.

    Args:
        folders: variant -> folder of its shards.
        texts: the prompts to show, prompt_id -> text.

    Raises:
        ValueError: a variant has no image of a prompt.
    """
    return {variant: _first(variant, folder, texts) for variant, folder in folders.items()}


def show(variants: list[str], prompts: Path, rows: int, out: Path) -> None:
    """Write a grid of evaluated variants as a picture.

    Args:
        variants: their evaluations, a column each.
        prompts: the table of the prompts that were evaluated.
        rows: how many of them to show, the first.
        out: the file to write.

    Raises:
        ValueError: as `evaluated`, or the table cannot be read.
    """
    shown = dict(islice(tables.texts(prompts).items(), rows))
    folders = {variant: places.evaluation(variant) / "images" for variant in variants}
    sheet = side_by_side(evaluated(folders, shown), list(shown.values()))
    with work_files.new_file(out) as partial:
        sheet.save(partial)


def _first(variant: str, folder: Path, texts: dict[str, str]) -> Images:
    """The image k = 0 of each prompt."""
    found = {c.prompt_id: c.image for c in shards.read_all(folder, {(prompt_id, 0) for prompt_id in texts})}
    if missing := [text for prompt_id, text in texts.items() if prompt_id not in found]:
        raise ValueError(f"{folder}: {variant} has no image of {missing[0]!r}")
    return [found[prompt_id] for prompt_id in texts]


def save(columns: dict[str, Images], labels: list[str], out: Path) -> list[Path]:
    """Write ``<row>-<variant>.png`` for each image, rows numbered from 0, and all of them as ``grid.png``.

    Returns:
        what was written.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {
        out / f"{row:03}-{variant}.png": Image.fromarray(image)
        for variant, images in columns.items()
        for row, image in enumerate(images)
    }
    files[out / "grid.png"] = side_by_side(columns, labels)
    for path, image in files.items():
        image.save(path)
    return list(files)
