"""Cosine of image and prompt in the embedding space of a CLIP."""

import logging
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Images, Prompt, Verdicts, batches, pictures

if TYPE_CHECKING:
    from torch import Tensor


logger = logging.getLogger(__name__)
SHOWN = 60  # characters of a prompt that is told


class Limit:
    """How many tokens of a prompt a model reads: the rest is drawn, but not judged. Says so once."""

    def __init__(self, name: str) -> None:
        self.name, self._said = name, False

    def check(self, tokenizer: Any, texts: list[str], most: int) -> None:
        """Warn of the first text that is longer than `most` tokens.

        Args:
            tokenizer: the model's.
            texts: what it is about to read.
            most: tokens that it reads, with those at both ends.
        """
        if self._said:
            return
        for text in texts:
            tokens = len(tokenizer(text, verbose=False)["input_ids"])
            if tokens > most:
                self._said = True
                logger.warning(
                    "%s reads %d tokens: of a longer prompt it judges the beginning alone (first: %d tokens, %r)",
                    *(self.name, most, tokens, text if len(text) <= SHOWN else f"{text[:SHOWN]}..."),
                )
                return


class Clip(weights.Holder):
    """Any model of transformers that embeds images and texts: CLIP, and what was made from it."""

    kind = "AutoModel"

    @cached_property
    def _processor(self) -> Any:
        return self.weights.load("AutoProcessor")

    @cached_property
    def _limit(self) -> Limit:
        return Limit(str(self.weights))

    @property
    def scale(self) -> float:
        """``exp(logit_scale)``, what the model was trained to multiply cosines with."""
        return float(self._model.logit_scale.float().exp())

    def embed(self, images: Images) -> "Tensor":
        """The embedding of each image in the space that it shares with texts, ``float64 [batch, d]``.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
        """
        import torch  # heavy

        model = self._model
        pixels = self.pixels(images).to(model.device, model.dtype)
        with torch.inference_mode():
            return model.get_image_features(pixels).pooler_output.double()

    def pixels(self, images: Images) -> "Tensor":
        """Images as the model was trained to see them, by its own processor: ``float32 [batch, 3, side, side]``."""
        return self._processor.image_processor(pictures(images), return_tensors="pt")["pixel_values"]

    def cosines(self, images: Images, texts: list[str]) -> NDArray[np.float64]:
        """``<e_image, e_text> / (|e_image| |e_text|)`` of each image and its own text.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
            texts: one an image; cut where the model's context ends.

        Returns:
            ``float64 [batch]``, in [-1, 1].
        """
        import torch  # heavy
        from torch.nn.functional import cosine_similarity

        model = self._model
        tokenizer = self._processor.tokenizer
        self._limit.check(tokenizer, texts, tokenizer.model_max_length)
        read = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            said = model.get_text_features(**read.to(model.device)).pooler_output
        return cosine_similarity(self.embed(images), said.double()).cpu().numpy()


class Similarity(ABC):
    """A reward from the cosine between an image and its prompt; `phrase` and `value` say which."""

    sees: type[Clip] = Clip
    name: str
    metric: str
    higher_is_better = True
    range: tuple[float, float]
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self,
        model: str,
        dtype: str = "float32",
        batch_size: int = 32,
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            model: a folder, or ``repository@revision``.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.
        """
        self.clip, self.batch_size = self.sees(model, dtype, trust_remote_code, device), batch_size
        self.weights = [self.clip.weights]
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}"

    def phrase(self, prompt: str) -> str:
        """Text that the image is compared with."""
        return prompt

    @abstractmethod
    def value(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn cosines into scores."""

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        scores: Verdicts = []
        for some, theirs in batches(self.batch_size, images, prompts):
            scores += self.value(self.clip.cosines(some, [self.phrase(prompt.text) for prompt in theirs])).tolist()
        return scores
