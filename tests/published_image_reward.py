"""A random ImageReward, made of transformers' classes, under the names that its authors' file has."""

from itertools import pairwise

import tiny_vision
import torch
import transformers
from torch import nn

SIDE, WIDTH = 32, 128  # pixels; two heads of 64 channels
MLP = [WIDTH, 1024, 128, 64, 16, 1]
PLACES = [0, 2, 4, 6, 7]  # of its layers, as dropout leaves them
THEIRS = [  # from the names of transformers to those in the file, which are BLIP's
    ("embeddings.class_embedding", "cls_token"),
    ("embeddings.position_embedding", "pos_embed"),
    ("embeddings.patch_embedding", "patch_embed.proj"),
    ("post_layernorm", "norm"),
    ("encoder.layers", "blocks"),
    ("self_attn.projection", "attn.proj"),
    ("self_attn.qkv", "attn.qkv"),
    ("layer_norm", "norm"),
]


def parts():
    """Its vision transformer, its text transformer and its mlp."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vision = transformers.BlipVisionModel(
            transformers.BlipVisionConfig(
                hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=2,
                image_size=SIDE, patch_size=8, layer_norm_eps=1e-6, initializer_range=0.1,
            )
        )  # fmt: skip
        text = transformers.BlipTextModel(
            transformers.BlipTextConfig(
                vocab_size=tiny_vision.VOCABULARY, hidden_size=WIDTH, encoder_hidden_size=WIDTH, intermediate_size=64,
                num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=40, initializer_range=0.1,
            ),
            add_pooling_layer=False,
        )  # fmt: skip
        layers = {f"{place}": nn.Linear(*pair) for place, pair in zip(PLACES, pairwise(MLP), strict=True)}
    return vision.eval(), text.eval(), nn.ModuleDict(layers)


def _their_name(name):
    for ours, theirs in THEIRS:
        name = name.replace(ours, theirs)
    return f"blip.visual_encoder.{name}"


def weights(vision, text, mlp):
    """Of all three, by the names in ``ImageReward.pt``."""
    found = {_their_name(name): value for name, value in vision.state_dict().items()}
    found |= {f"blip.text_encoder.{name}": value for name, value in text.state_dict().items()}
    return found | {f"mlp.layers.{name}": value for name, value in mlp.state_dict().items()}
