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


def direct_logits(folder, image, prompt, said=""):
    """The next token's logits after a prompt and a word, one image at a time and without padding."""
    model, processor = loaded(folder)
    encodes = model.config.is_encoder_decoder
    text = prompt if encodes or not said else f"{prompt} {said}"
    inputs = processor(images=Image.fromarray(image), text=text, return_tensors="pt")
    start = {"decoder_input_ids": torch.tensor([[0, token(said)] if said else [0]])} if encodes else {}
    with torch.no_grad():
        return model(**inputs, **start).logits[0, -1].double()


CURIOUS = (
    "A chat between a curious {0} and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the {0}'s questions. "
)


def asked(kind, text, stem="", llava="user"):
    if kind == "blip2":
        return f"Question: {text} Answer:{stem and ' ' + stem}"
    picture = "<|vision_start|><|image_pad|>" if kind == "qwen" else "<image>"
    system = CURIOUS.format(llava) if kind == "llava" and llava else ""
    return f"{system}USER: {picture} {text} ASSISTANT:{stem and ' ' + stem}"


def token(word):
    return len(tiny_vision.SPECIAL) + tiny_vision.WORDS.index(word)
