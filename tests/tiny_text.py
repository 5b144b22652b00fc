"""A random language model that takes instructions, of a real class and built from a config."""

from pathlib import Path

import tiny_vision
import torch
import transformers

TEMPLATE = (
    "[BOS] {% for message in messages %}USER : {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT :{% endif %}"
)


def instruct(folder: Path, template: str | None = TEMPLATE) -> str:
    """A Llama of a few kB that says words of `tiny_vision`, saved as a hub would give it."""
    config = transformers.LlamaConfig(
        **tiny_vision.TEXT, **tiny_vision.IDS, **tiny_vision.LOUD, max_position_embeddings=200
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = tiny_vision.tokenizer("$A")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return str(folder)
