"""Images of several variants side by side: same prompt, same seed, one row a prompt."""

import re
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from versat2i.compare import lettering
from versat2i.formats import shards, tables
from versat2i.work import files as work_files
from versat2i.work import places

MARGIN = 6  # pixels around everything
TEXT_HEIGHT = lettering.LINE  # pixels
LABEL_WIDTH = 320  # pixels; a longer prompt goes on in the next line
LARGEST = 256  # pixels of an image's longer side: a sheet is to compare, the images themselves lie elsewhere
MOST = 40_000_000  # pixels of a sheet; Pillow warns of bombs from 89 million on
SHEETS = "sheets"  # folder beside images, so that `*.png` means the images
EARLIER = "earlier"  # and where those of earlier runs go

Images = list[NDArray[np.uint8]]  # [height, width, 3] each


def side_by_side(columns: dict[str, Images], labels: list[str], scale: int = 2) -> Image.Image:
    """A sheet with one column a variant and one row an image, labelled, of at most `MOST` pixels.

    Args:
        columns: variant -> its images, as many as there are labels, all of one size.
        labels: what stands beside each row, in as many lines as the row is high.
        scale: whole-number enlargement of small images; larger ones are shown with `LARGEST` pixels.
    """
    width, height = _cell(next(iter(columns.values()))[0], scale, len(columns))
    row, column = height + MARGIN, width + MARGIN
    right = MARGIN + len(columns) * column
    wide = right + LABEL_WIDTH + MARGIN
    fitting = max(1, (MOST // wide - TEXT_HEIGHT - MARGIN) // row)
    shown = labels if len(labels) <= fitting else [*labels[: fitting - 1], f"and {len(labels) - fitting + 1} more rows"]
    sheet = Image.new("RGB", (wide, TEXT_HEIGHT + MARGIN + len(shown) * row), "white")
    pen = ImageDraw.Draw(sheet)
    for x, (variant, images) in enumerate(columns.items()):
        lettering.write(pen, (MARGIN + x * column, MARGIN // 2), lettering.lines(variant, width, 1))
        for y, image in enumerate(images[: fitting - 1 if len(labels) > fitting else fitting]):
            sheet.paste(_shown(image, (width, height)), (MARGIN + x * column, TEXT_HEIGHT + MARGIN + y * row))
    for y, label in enumerate(shown):
        told = lettering.lines(label, LABEL_WIDTH, max(1, height // TEXT_HEIGHT))
        top = TEXT_HEIGHT + MARGIN + y * row + max(0, height - len(told) * TEXT_HEIGHT) // 2
        lettering.write(pen, (right, top), told)
    return sheet


def _cell(image: NDArray[np.uint8], scale: int, columns: int) -> tuple[int, int]:
    """Width and height of a shown image: smaller where many columns would make a row too wide."""
    height, width = image.shape[:2]
    room = min(LARGEST, int((MOST / columns) ** 0.5) // 2)
    largest = max(width, height)
    factor: float = min(scale, room // largest) if room >= largest else room / largest
    return max(1, round(width * factor)), max(1, round(height * factor))


def _shown(image: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """An image at the size of a cell: pixels stay pixels when it grows, and are averaged when it shrinks."""
    grows = size[0] >= image.shape[1]
    return Image.fromarray(image).resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.BOX)


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
    found: dict[str, NDArray[np.uint8]] = {}
    for candidate in shards.read_all(folder, {(prompt_id, 0) for prompt_id in texts}):
        found[candidate.prompt_id] = candidate.image
        if len(found) == len(texts):  # the shards that follow have none
            break
    if missing := [text for prompt_id, text in texts.items() if prompt_id not in found]:
        raise ValueError(f"{folder}: {variant} has no image of {missing[0]!r}")
    return [found[prompt_id] for prompt_id in texts]


def save(columns: dict[str, Images], labels: list[str], out: Path) -> list[Path]:
    """Write ``<row>-<variant>.png`` for each image, rows numbered from 0, and all of them as ``sheets/grid.png``.

    Returns:
        what was written.
    """
    (out / SHEETS).mkdir(parents=True, exist_ok=True)
    files = {
        out / f"{row:03}-{variant}.png": Image.fromarray(image)
        for variant, images in columns.items()
        for row, image in enumerate(images)
    }
    files[out / SHEETS / "grid.png"] = side_by_side(columns, labels)
    for path, image in files.items():
        with work_files.new_file(path) as partial:
            image.save(partial)
    return list(files)


def put_aside(out: Path) -> Path | None:
    """Move the images of an earlier `save` into a subfolder, so that none is lost or mistaken for a new one.

    Returns:
        where it lies now; None if there was nothing.
    """
    left = [path for path in out.glob("*.png") if re.match(r"\d{3,}-", path.name)]
    if not left:
        return None
    numbers = [int(path.name) for path in (out / EARLIER).glob("*") if path.name.isdecimal()]
    place = out / EARLIER / str(max(numbers, default=0) + 1)
    place.mkdir(parents=True)
    for path in [*left, out / SHEETS]:
        if path.exists():
            path.rename(place / path.name)
    return place
