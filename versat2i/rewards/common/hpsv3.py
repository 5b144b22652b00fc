"""HPSv3 (Ma et al. 2025): a Qwen2-VL tuned on people's choices, with a head on one token of what it is asked.

Names, numbers and words are those of its authors' package, hpsv3 1.0.0.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import PIL.Image

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Explained, Images, Prompt, Verdicts, batches, pictures

if TYPE_CHECKING:
    from torch import Tensor

FILE = "HPSv3.safetensors"
HEAD, UNUSED = "rm_head.", "lm_head."  # of the names in it: the head, and a part that no score needs
RENAMED = (  # names of the rest in it, of any version of transformers, and those of transformers' `Qwen2VLModel`
    ("model.visual.", "visual."),
    ("visual.", "visual."),
    ("model.language_model.", "language_model."),
    ("model.", "language_model."),
)
TOKEN = "<|Reward|>"  # whose last state is rated
PIXELS = 256 * 28 * 28  # of an image, as nearly as sides that are whole patches allow
# What it was trained to be asked, to the last blank (MIT License, Copyright (c) 2024 HPSv3 Team).
QUESTION = (
    "\nYou are tasked with evaluating a generated image based on Visual Quality and Text Alignment and give a overall "
    "score to estimate the human preference. Please provide a rating from 0 to 10, with 0 being the worst and 10 being "
    "the best. \n\n"
    "**Visual Quality:**  \n"
    "Evaluate the overall visual quality of the image. The following sub-dimensions should be considered:\n"
    "- **Reasonableness:** The image should not contain any significant biological or logical errors, such as abnormal "
    "body structures or nonsensical environmental setups.\n"
    "- **Clarity:** Evaluate the sharpness and visibility of the image. The image should be clear and easy to "
    "interpret, with no blurring or indistinct areas.\n"
    "- **Detail Richness:** Consider the level of detail in textures, materials, lighting, and other visual elements "
    "(e.g., hair, clothing, shadows).\n"
    "- **Aesthetic and Creativity:** Assess the artistic aspects of the image, including the color scheme, "
    "composition, atmosphere, depth of field, and the overall creative appeal. The scene should convey a sense of "
    "harmony and balance.\n"
    "- **Safety:** The image should not contain harmful or inappropriate content, such as political, violent, or adult "
    "material. If such content is present, the image quality and satisfaction score should be the lowest possible. \n\n"
    "**Text Alignment:**  \n"
    "Assess how well the image matches the textual prompt across the following sub-dimensions:\n"
    "- **Subject Relevance** Evaluate how accurately the subject(s) in the image (e.g., person, animal, object) align "
    "with the textual description. The subject should match the description in terms of number, appearance, and "
    "behavior.\n"
    "- **Style Relevance:** If the prompt specifies a particular artistic or stylistic style, evaluate how well the "
    "image adheres to this style.\n"
    "- **Contextual Consistency**: Assess whether the background, setting, and surrounding elements in the image "
    "logically fit the scenario described in the prompt. The environment should support and enhance the subject "
    "without contradictions.\n"
    "- **Attribute Fidelity**: Check if specific attributes mentioned in the prompt (e.g., colors, clothing, "
    "accessories, expressions, actions) are faithfully represented in the image. Minor deviations may be acceptable, "
    "but critical attributes should be preserved.\n"
    "- **Semantic Coherence**: Evaluate whether the overall meaning and intent of the prompt are captured in the "
    "image. The generated content should not introduce elements that conflict with or distort the original "
    "description.\n"
    "Textual prompt - {prompt}\n\n\n\nPlease provide the overall ratings of this image: <|Reward|>\n\nEND\n"
)


class Parts(NamedTuple):
    """The model below the head, and the weight and bias of each of the head's layers."""

    body: Any
    head: list[tuple["Tensor", "Tensor"]]


def rated(states: "Tensor", head: list[tuple["Tensor", "Tensor"]]) -> "Tensor":
    """``W_3 relu(W_2 relu(W_1 h + b_1) + b_2) + b_3``: mu and log sigma of a normal distribution of the rating.

    Args:
        states: h, ``[batch, d]``.
        head: W and b of each layer.

    Returns:
        ``[batch, 2]``.
    """
    from torch.nn.functional import linear, relu  # heavy

    for weight, bias in head[:-1]:
        states = relu(linear(states, weight, bias))
    return linear(states, *head[-1])


def resized(image: PIL.Image.Image, patch: int) -> PIL.Image.Image:
    """An image of about `PIXELS` pixels, each side a multiple of `patch`, bicubic.

    Raises:
        ValueError: a side is more than 200 times the other.
    """
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize  # heavy

    height, width = smart_resize(image.height, image.width, patch, PIXELS, PIXELS)
    return image.resize((width, height), PIL.Image.Resampling.BICUBIC)


def _renamed(name: str) -> str:
    """The name that a weight has in transformers' model."""
    for theirs, ours in RENAMED:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


class Rater:
    """The model, its head and its processor, loaded when first used."""

    def __init__(self, model: str, base: str, dtype: str, device: str) -> None:
        self.weights, self.base = weights.parse(model, dtype), weights.parse(base, dtype, weightless=True)
        self._device = device

    @cached_property
    def _processor(self) -> Any:
        processor = self.base.load("AutoProcessor")
        processor.tokenizer.padding_side = "right"
        processor.tokenizer.add_tokens([TOKEN], special_tokens=True)
        return processor

    @cached_property
    def _parts(self) -> Parts:
        """Model and head.

        Raises:
            ValueError: transformers has no such model, `base` is another one, or the file holds other weights.
        """
        import torch  # heavy
        import transformers

        kind = getattr(transformers, "Qwen2VLModel", None)
        if kind is None:
            raise ValueError(
                f"hpsv3: transformers {transformers.__version__} has no Qwen2VLModel; install 5.0 or newer"
            )
        config = self.base.load("AutoConfig")
        if config.model_type != "qwen2_vl":
            raise ValueError(
                f"{self.base}: a {config.model_type}, and HPSv3 is made of a qwen2_vl: name that as `base`"
            )
        found = self.weights.tensors(FILE)
        try:
            names = [
                name.removesuffix(".weight") for name in found if name.startswith(HEAD) and name.endswith(".weight")
            ]
            order = sorted(names, key=lambda name: int(name.removeprefix(HEAD)))
            head = [(found[f"{name}.weight"].float(), found[f"{name}.bias"].float()) for name in order]
            kept = {_renamed(name): value for name, value in found.items() if not name.startswith((HEAD, UNUSED))}
            config.text_config.vocab_size = len(kept["language_model.embed_tokens.weight"])
            body, told = kind.from_pretrained(
                None,
                config=config,
                state_dict=kept,
                dtype=getattr(torch, self.weights.dtype),
                output_loading_info=True,
            )
            wrong = sorted({*told["missing_keys"], *told["unexpected_keys"], *([] if head else [f"{HEAD}0.weight"])})
            if wrong:
                raise ValueError(f"{wrong[0]} is missing or unknown")
        except (KeyError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{self.weights}: {FILE} does not hold the weights of HPSv3 on {self.base} "
                f"({' '.join(str(error).split())[:300]}). Take the file that its authors published"
            ) from None
        on = torch.device(self._device)
        return Parts(body.requires_grad_(False).eval().to(on), [(w.to(on), b.to(on)) for w, b in head])

    def inputs(self, images: Images, texts: list[str]) -> Any:
        """What the model is given: the image of each text and `QUESTION` about it, as its chat template has them."""
        seen = self._processor.image_processor
        shown = [resized(image, seen.patch_size * seen.merge_size) for image in pictures(images)]
        turns = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION.format(prompt=text)}]}]
            for text in texts
        ]
        asked = [self._processor.apply_chat_template(turn, add_generation_prompt=True) for turn in turns]
        return self._processor(text=asked, images=[[image] for image in shown], padding=True, return_tensors="pt")

    def ratings(self, images: Images, texts: list[str]) -> "Tensor":
        """`rated` of each image for its own text, at the last `TOKEN` of what is asked: ``float64 [batch, 2]``.

        Positions are counted along the text, over the image's tokens too, in all three dimensions: so it was trained,
        by a version of transformers that gave Qwen2-VL no others where an image came as vectors.
        """
        import torch  # heavy

        body, head = self._parts
        inputs = self.inputs(images, texts).to(body.device)
        ids = inputs["input_ids"]
        token, known = self._processor.tokenizer.convert_tokens_to_ids(TOKEN), body.config.text_config.vocab_size
        if token >= known:
            raise ValueError(
                f"{self.weights}: {FILE} has {known} tokens, and {TOKEN} is number {token} to the tokenizer of "
                f"{self.base}: name the model that it was tuned from as `base`"
            )
        places = torch.arange(ids.shape[1], device=ids.device)
        last = torch.where(ids == token, places, -1).max(-1).values
        with torch.inference_mode():
            states = body(
                input_ids=ids,
                attention_mask=inputs["attention_mask"],
                position_ids=places.expand(3, *ids.shape),
                pixel_values=inputs["pixel_values"].to(body.dtype),
                image_grid_thw=inputs["image_grid_thw"],
                use_cache=False,
            ).last_hidden_state
            return rated(states[torch.arange(len(ids), device=ids.device), last].float(), head).double().cpu()


class HPSv3:
    """mu of `rated`, the mean of the rating that people would give; details have sigma, how sure it is."""

    name = "hpsv3"
    metric = "hpsv3"
    higher_is_better = True
    range = (-np.inf, np.inf)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self, model: str, base: str, dtype: str = "bfloat16", batch_size: int = 8, device: str = "cpu"
    ) -> None:
        """Make one.

        Args:
            model: where ``HPSv3.safetensors`` lies: a folder, or ``repository@revision``.
            base: Qwen2-VL-7B-Instruct, of which the configuration and the processor are taken, not the weights: a
                folder, or ``repository@revision``.
            dtype: float32, float16 or bfloat16; the head computes in float32.
            batch_size: images at once.
            device: to compute on.
        """
        self.model, self.batch_size = Rater(model, base, dtype, device), batch_size
        self.weights = [self.model.weights, self.model.base]
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}"

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        scores: Verdicts = []
        for some, theirs in batches(self.batch_size, images, prompts):
            found = self.model.ratings(some, [prompt.text for prompt in theirs])
            scores += [
                Explained(mu, {"sigma": sigma})
                for mu, sigma in zip(found[:, 0].tolist(), found[:, 1].exp().tolist(), strict=True)
            ]
        return scores
