"""Q-Instruct's score by its own mPLUG-Owl2, for a Python environment that has the package `mplug_owl2`."""

import torch
from mplug_owl2.constants import IMAGE_TOKEN_INDEX
from mplug_owl2.mm_utils import tokenizer_image_token
from mplug_owl2.model.builder import load_pretrained_model
from PIL import Image

PROMPT = "USER: <|image|>Rate the quality of the image.\nASSISTANT: "
LEVELS = (("good", "high", "fine"), ("average", "medium", "acceptable"), ("poor", "low", "bad"))
WEIGHTS = (1.0, 0.5, 0.0)


class QInstruct:
    """``sum_i w_i softmax_i(l)``, l the next word's logits of good, average, poor, and w = 1, 1/2, 0."""

    name, metric = "q_instruct", "q_instruct"
    higher_is_better, range = True, (0.0, 1.0)
    licence = "Apache-2.0; the weights are non-commercial"

    def __init__(self, model: str, device: str, batch_size: int = 4, synonyms: bool = False) -> None:
        """Load the model.

        Args:
            model: the folder of q-future/q-instruct-mplug-owl2.
            device: where it computes.
            batch_size: images at once.
            synonyms: each l is the mean over three words of one meaning.
        """
        tokenizer, self.model, self.processor, _ = load_pretrained_model(model, None, "mplug_owl2", device=device)
        self.batch_size, self.device = batch_size, device
        words = [word for level in LEVELS for word in level[: 3 if synonyms else 1]]
        self.tokens = [tokenizer(word).input_ids[1] for word in words]  # the first is the beginning of a text
        self.prompt = tokenizer_image_token(PROMPT, tokenizer, IMAGE_TOKEN_INDEX, return_tensors="pt")[None].to(device)

    def score(self, images, prompts) -> list[float]:
        return [
            score
            for start in range(0, len(images), self.batch_size)
            for score in self.qualities(images[start : start + self.batch_size])
        ]

    def qualities(self, images) -> list[float]:
        """The score of each image, ``uint8 [batch, height, width, 3]``."""
        pictures = [Image.fromarray(image) for image in images]
        pixels = self.processor.preprocess(pictures, return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self.device, torch.float16)
        with torch.inference_mode():
            logits = self.model(self.prompt.repeat(len(images), 1), images=pixels)["logits"][:, -1, self.tokens]
        levels = logits.double().reshape(len(images), len(LEVELS), -1).mean(-1)
        return (levels.softmax(-1) @ torch.tensor(WEIGHTS).to(levels)).tolist()
