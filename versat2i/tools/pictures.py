"""Image files of people as every viewer shows them: what a file says beside its pixels counts."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageOps

DEEP = 257  # from 16 bits to 8: 65535 / 255
ROUNDING = 2  # grey levels between an image and itself by way of its own profile
POINTER = b"version https://git-lfs.github.com/spec/"


def read(path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """An image file as ``uint8 [height, width, 3]`` in sRGB, and what was done that a reader should know.

    The orientation of EXIF is applied, 16 bits are scaled to 8, a colour profile is converted to sRGB, transparent
    pixels lie on white, and of several frames the first is taken.

    Raises:
        ValueError: it is no image that can be read.
    """
    try:
        with Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
            notes = [f"the first of {frames} frames"] if frames > 1 else []
            shown = _on_white(_srgb(_eight_bits(ImageOps.exif_transpose(image)), notes), notes)
            return np.asarray(shown), notes
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable image ({_instead(path) or ' '.join(str(error).split())})") from None


def _instead(path: Path) -> str | None:
    """Name what a path holds in place of an image, where that is known."""
    if path.is_dir():
        return "it is a folder"
    with path.open("rb") as file:
        start = file.read(200).lstrip().lower()
    if not start:
        return "the file is empty"
    if start.startswith(POINTER):
        return "it is a pointer of Git LFS: run `git lfs pull`"
    return "it is a web page" if start.startswith((b"<!doctype html", b"<html")) else None


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of 8 bits a channel; Pillow would cut deeper ones off at 255.

    Raises:
        ValueError: its numbers have no known range.
    """
    if image.mode not in ("F", "I") and not image.mode.startswith("I;16"):
        return image
    pixels = np.asarray(image)
    whole = np.issubdtype(pixels.dtype, np.integer)
    low, high = float(pixels.min()), float(pixels.max())
    if not 0 <= low <= high <= (65535 if whole else 1):
        raise ValueError(f"its pixels are {pixels.dtype} from {low:g} to {high:g}; expected 16 bits, or 0 to 1")
    grey = pixels / DEEP if whole else pixels * 255
    return Image.fromarray(np.rint(grey).astype(np.uint8))


def _srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """An image whose colours are sRGB's: converted from its profile, where that is another one."""
    embedded = image.info.get("icc_profile")
    if not embedded:
        return image
    opacity = _opacity(image)
    colours = image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")
    solid = image if image.mode in ("RGB", "CMYK", "L") else colours
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        converted = ImageCms.profileToProfile(solid, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        assert converted is not None  # it is where the image is not changed in place
    except (ImageCms.PyCMSError, OSError, TypeError):
        notes.append("its colour profile cannot be read and is left out")
        return image
    if _furthest(converted, colours) <= ROUNDING:  # it is sRGB's own
        return image
    notes.append("converted from its colour profile to sRGB")
    if opacity is not None:
        converted.putalpha(opacity)
    return converted


def _furthest(one: Image.Image, other: Image.Image) -> int:
    """Largest difference of two images in any channel."""
    return int(np.asarray(ImageChops.difference(one, other.convert("RGB"))).max())


def _opacity(image: Image.Image) -> Image.Image | None:
    """Opacity of each pixel, 0 to 255; None for an opaque image."""
    if not image.has_transparency_data:
        return None
    return image.convert("RGBA").getchannel("A")


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    """An image as it looks on a white page."""
    opacity = _opacity(image)
    if opacity is None or opacity.getextrema()[0] == 255:
        return image.convert("RGB")
    notes.append("transparent pixels lie on white")
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")
