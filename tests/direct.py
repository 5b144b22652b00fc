"""What a random vision-language model says of noise, one image at a time and without padding."""

from functools import cache

import tiny_vision
import torch
import transformers
from PIL import Image

STEM = "The quality of the image is"  # of Q-Bench


TEXTS = ["a red circle", "two blue square", "a dark green circle or a red square", "a good photo", "a circle"]


@cache
def loaded(folder):
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    return model, transformers.AutoProcessor.from_pretrained(folder)


def direct_logits(folder, image, prompt):
    """The next token's logits, one image at a time and without padding."""
    model, processor = loaded(folder)
    inputs = processor(images=Image.fromarray(image), text=prompt, return_tensors="pt")
    start = {"decoder_input_ids": torch.tensor([[0]])} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(**inputs, **start).logits[0, -1].double()


def asked(kind, text, stem=""):
    if kind == "blip2":
        return f"Question: {text} Answer:{stem and ' ' + stem}"
    picture = "<|vision_start|><|image_pad|>" if kind == "qwen" else "<image>"
    return f"USER: {picture} {text} ASSISTANT:{stem and ' ' + stem}"


def token(word):
    return len(tiny_vision.SPECIAL) + tiny_vision.WORDS.index(word)
