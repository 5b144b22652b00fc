"""Read an image's text by OCR and compare it with what the prompt puts in quotation marks."""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from itertools import permutations
from pathlib import Path
from typing import Any

from versat2i.rewards.common.base import OWN_LICENCE, Explained, Image, Images, Prompt, Verdicts
from versat2i.rewards.text.quoted import quoted
from versat2i.work import files

NO_TEXT = "the prompt puts no text in quotation marks"
ALL_ORDERS = 6  # lines of which every order is tried: 720 orders
APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})


def letters(text: str) -> str:
    """Normalise a text for comparison: one form of each character, small letters, no blanks."""
    return "".join(unicodedata.normalize("NFKC", text).translate(APOSTROPHES).casefold().split())


def _orders(wanted: str, lines: Sequence[str], extra: bool) -> Iterator[str]:
    """Texts that lines give in some order: all of them, or without `extra` any of them.

    Of more than `ALL_ORDERS` lines: as they were read, and by the place in the wanted text where each fits best.
    """
    from rapidfuzz.fuzz import partial_ratio_alignment

    if len(lines) <= ALL_ORDERS:
        for size in [len(lines)] if extra else range(len(lines) + 1):
            yield from map("".join, permutations(lines, size))
        return
    fits = [partial_ratio_alignment(line, wanted) for line in lines]
    starts = [fit.dest_start if fit else len(wanted) for fit in fits]
    by_place = [lines[place] for place in sorted(range(len(lines)), key=starts.__getitem__)]
    for order in (list(lines), by_place):
        yield "".join(order)
        if not extra:
            yield from _fewer(wanted, order)


def _fewer(wanted: str, order: list[str]) -> Iterator[str]:
    """The text again and again without the line that it is best without, until none is left."""
    while order:
        shorter = [order[:place] + order[place + 1 :] for place in range(len(order))]
        order = max(shorter, key=lambda lines: _match(wanted, "".join(lines)))
        yield "".join(order)


def _match(wanted: str, said: str) -> float:
    """``1 - d(w, o) / max(|w|, |o|)``."""
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.normalized_similarity(wanted, said)


def likeness(wanted: Sequence[str], lines: Sequence[str], extra: bool = True) -> float:
    """``max_o (1 - d(w, o) / max(|w|, |o|))`` over the orders o of the lines, d the edit distance (Levenshtein 1966).

    Args:
        wanted: texts that are to be seen; w is all of them as `letters`.
        lines: what was read, in any order.
        extra: whether every line counts, so that words nobody asked for cost; else only lines that help.

    Returns:
        0 (nothing in common) to 1 (the same).
    """
    whole = "".join(map(letters, wanted))
    read = [line for line in map(letters, lines) if line]
    return max((_match(whole, order) for order in _orders(whole, read, extra)), default=0.0)


class Engine:
    """RapidOCR with the weights that lie in its package: PP-OCR of PaddlePaddle, run by onnxruntime on the CPU.

    Attributes:
        remote: False, nothing is downloaded.
    """

    remote = False

    def __init__(self, side: int) -> None:
        """Name the least length of the shorter side, pixels, at which text is looked for; nothing is loaded."""
        self._side = side

    def __str__(self) -> str:
        return "rapidocr"

    @cached_property
    def _package(self) -> Any:
        """RapidOCR's module.

        Raises:
            ValueError: it is not installed, or what runs its weights.
        """
        try:
            import onnxruntime  # noqa: F401
            import rapidocr
        except ImportError as error:
            raise ValueError(
                f"ocr: {error.name} is not installed, which reads text in images: pip install 'versat2i[text]'"
            ) from None
        return rapidocr

    @property
    def identity(self) -> str:
        """The versions of its packages and hashes of its weights."""
        import onnxruntime

        models = sorted(Path(self._package.__file__).parent.glob("models/*.onnx"))
        versions = [f"rapidocr {version('rapidocr')}", f"onnxruntime {onnxruntime.__version__}"]
        return " ".join([*versions, *(files.file_hash(path)[:16] for path in models)])

    def fetch(self) -> None:
        """Do nothing: the weights came with the package."""

    @cached_property
    def _engine(self) -> Any:
        return self._package.RapidOCR(
            params={
                "Global.log_level": "error",
                "Det.limit_side_len": self._side,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,  # workers run beside each other
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, image: Image) -> list[str]:
        """The lines of text in an image ``[height, width, 3]``, from top to bottom."""
        found = self._engine(image[:, :, ::-1])  # BGR, as OpenCV has it
        return list(found.txts or ())


class Ocr:
    """`likeness` of what is read in an image and what its prompt puts in quotation marks.

    Flow-GRPO's OCR reward (Liu et al. 2025) takes the first text in straight double quotation marks, reads by
    PaddleOCR, keeps the order of reading, and gives 1 wherever the wanted text is a part of all that was read. Here all
    quoted texts count, lines may come in any order, and words that nobody asked for cost (`extra`).
    """

    name = "ocr"
    metric = "ocr"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; RapidOCR and the PP-OCR weights in its package Apache-2.0"

    def __init__(self, extra: bool = True, side: int = 736) -> None:
        """Make one.

        Args:
            extra: whether words that the prompt does not ask for count against an image; False for scenes that have
                lettering of their own.
            side: pixels that the shorter side of an image is enlarged to, at least, for text to be found; RapidOCR's
                own is 736, less is faster and misses small letters.
        """
        self.engine, self._extra = Engine(side), extra
        self.weights = [self.engine]

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [self._judge(image, quoted(prompt.text)) for image, prompt in zip(images, prompts, strict=True)]

    def _judge(self, image: Image, wanted: list[str]) -> float | str:
        if not wanted:
            return NO_TEXT
        lines = self.engine.read(image)
        return Explained(likeness(wanted, lines, self._extra), {"wanted": wanted, "read": lines})
