"""Images of several variants side by side: same prompt, same seed, one row a prompt."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from versat2i import shards

MARGIN = 6  # pixels around everything
TEXT_HEIGHT = 16  # pixels


def side_by_side(folders: dict[str, Path], texts: dict[str, str], scale: int = 2) -> Image.Image:
    """A grid with one column a variant and one row a prompt, labelled.

    Args:
        folders: variant -> folder of its shards.
        texts: the prompts to show, prompt_id -> text.
        scale: whole-number enlargement of each image.

    Raises:
        ValueError: a variant has no image of a prompt.
    """
    columns = {variant: _first(folder, set(texts)) for variant, folder in folders.items()}
    for variant, found in columns.items():
        if missing := [texts[prompt_id] for prompt_id in texts if prompt_id not in found]:
            raise ValueError(f"{folders[variant]}: {variant} has no image of {missing[0]!r}")
    height, width = (scale * side for side in next(iter(columns.values()))[next(iter(texts))].shape[:2])
    font = ImageFont.load_default()
    label = max(font.getlength(text) for text in texts.values())
    row, column = height + MARGIN, width + MARGIN
    size = (int(MARGIN + len(columns) * column + label + MARGIN), TEXT_HEIGHT + MARGIN + len(texts) * row)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for x, (variant, found) in enumerate(columns.items()):
        pen.text((MARGIN + x * column, MARGIN // 2), variant, "black", font)
        for y, prompt_id in enumerate(texts):
            image = Image.fromarray(found[prompt_id]).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(image, (MARGIN + x * column, TEXT_HEIGHT + MARGIN + y * row))
    for y, text in enumerate(texts.values()):
        middle = TEXT_HEIGHT + MARGIN + y * row + height // 2 - TEXT_HEIGHT // 2
        pen.text((MARGIN + len(columns) * column, middle), text, "black", font)
    return sheet


def _first(folder: Path, prompt_ids: set[str]) -> dict[str, NDArray[np.uint8]]:
    """The image k = 0 of each prompt."""
    wanted = {(prompt_id, 0) for prompt_id in prompt_ids}
    return {candidate.prompt_id: candidate.image for candidate in shards.read_all(folder, wanted)}
