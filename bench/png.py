"""Time and size of PNG settings for images of 1024 px like photographs and for the embedded world's drawings."""

import io
import time
from collections.abc import Callable
from functools import partial

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from versat2i.formats import shards
from versat2i.shapes.pretraining import scenes

Images = list[NDArray[np.uint8]]
Encode = Callable[[NDArray[np.uint8]], bytes]

FALLOFF = 1.3  # of a photograph's spectrum with frequency; natural images have 1 to 1.5
GRAIN = 1.5  # gray values of noise
FILTERS = {"sub": cv2.IMWRITE_PNG_FILTER_SUB, "paeth": cv2.IMWRITE_PNG_FILTER_PAETH, "all": cv2.IMWRITE_PNG_ALL_FILTERS}
STRATEGIES = {
    "deflate": cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
    "huffman": cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    "rle": cv2.IMWRITE_PNG_STRATEGY_RLE,
}


def photograph(side: int, seed: int) -> NDArray[np.uint8]:
    """An image with a photograph's spectrum, ``1 / f ** FALLOFF``, channels that go together, and grain."""
    random = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(side)
    radius = np.hypot(frequency[:, None], frequency[None])
    radius[0, 0] = 1.0
    white = random.standard_normal((4, side, side))
    shared, *own = np.fft.ifft2(np.fft.fft2(white) / radius**FALLOFF).real
    channels = np.stack([shared + 0.3 * each for each in own], -1)
    channels = 128 + 50 * (channels - channels.mean((0, 1))) / channels.std((0, 1))
    return np.clip(np.round(channels + random.normal(0, GRAIN, channels.shape)), 0, 255).astype(np.uint8)


def by_pillow(level: int, image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def by_opencv(level: int, filters: int, strategy: int, image: NDArray[np.uint8]) -> bytes:
    settings = {
        cv2.IMWRITE_PNG_COMPRESSION: level,  # first: it puts the strategy back
        cv2.IMWRITE_PNG_FILTER: filters,
        cv2.IMWRITE_PNG_STRATEGY: strategy,
    }
    told = [number for pair in settings.items() for number in pair]
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), told)[1].tobytes()


def settings() -> dict[str, Encode]:
    """Every setting that is compared, by name; ours is last."""
    found: dict[str, Encode] = {f"Pillow, level {level}": partial(by_pillow, level) for level in (1, 3, 6)}
    for level, strategy in ((1, "deflate"), (6, "deflate"), (1, "huffman"), (1, "rle")):
        for name, filters in FILTERS.items():
            found[f"OpenCV, level {level}, {name}, {strategy}"] = partial(
                by_opencv, level, filters, STRATEGIES[strategy]
            )
    return found | {"shards": shards.encoded}


def measured(encode: Encode, images: Images, repeats: int) -> tuple[float, float, float]:
    """Seconds of a core to encode an image, and to decode it, at best; bytes of an image.

    Raises:
        ValueError: an image comes back changed.
    """
    encoding, decoding = [], []
    for _ in range(repeats):
        start = time.process_time()
        stored = [encode(image) for image in images]
        middle = time.process_time()
        shown = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in stored]
        encoding.append(middle - start)
        decoding.append(time.process_time() - middle)
        if not all(np.array_equal(one, other) for one, other in zip(images, shown, strict=True)):
            raise ValueError("an image comes back changed")
    amount = len(images)
    return min(encoding) / amount, min(decoding) / amount, sum(map(len, stored)) / amount


@click.command()
@click.option("--side", default=1024, show_default=True, help="Pixels of a side of what is like a photograph.")
@click.option("--photographs", default=2, show_default=True, help="How many of them.")
@click.option("--drawings", default=64, show_default=True, help="How many drawings of 64 px.")
@click.option("--repeats", default=3, show_default=True, help="Of which the best counts.")
def main(side: int, photographs: int, drawings: int, repeats: int) -> None:
    """Compare PNG settings.

    \b
    Example:
        python -m bench.png
    """
    kinds = {
        f"{side} px": [photograph(side, seed) for seed in range(photographs)],
        "64 px": [scenes.scene(0, index)[1] for index in range(drawings)],
    }
    click.echo("| setting | " + " | ".join(f"{kind}: encode, decode, size" for kind in kinds) + " |")
    click.echo("|" + " --- |" * (1 + len(kinds)))
    for name, encode in settings().items():
        cells = []
        for images in kinds.values():
            there, back, size = measured(encode, images, repeats)
            cells.append(f"{there * 1e3:.3g} ms, {back * 1e3:.3g} ms, {size / 1e3:.4g} kB")
        click.echo(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
