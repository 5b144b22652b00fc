"""A made-up HPSv3: the configuration and the processor of a small Qwen2-VL, and weights by the names of its file."""

import json
from itertools import pairwise
from pathlib import Path

import tiny_flows
import torch
import transformers
from made_up import weight
from safetensors.torch import save_file

MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
TEMPLATE = (  # of Qwen2-VL, for messages without a system's
    "{% for message in messages %}{% if loop.first %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH, WIDE, HEAD = 32, 64, (1024, 16, 2)
VISION = {"depth": 2, "embed_dim": 32, "hidden_size": WIDTH, "mlp_ratio": 2, "num_heads": 2, "patch_size": 14}
MERGED = 4 * VISION["embed_dim"]  # channels of the four patches that become one token


def configuration(tokens) -> dict:
    """As the hub has it, with the sizes of the text model beside those of the vision model."""
    start, _, image, video = (tokens.convert_tokens_to_ids(mark) for mark in MARKS)
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl",
        "hidden_size": WIDTH, "intermediate_size": WIDE, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "max_position_embeddings": 8192, "vocab_size": 300, "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "tie_word_embeddings": False, "vision_start_token_id": start, "image_token_id": image,
        "video_token_id": video, "vision_config": VISION | {"spatial_merge_size": 2, "temporal_patch_size": 2},
    }  # fmt: skip


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor of the file, as transformers 4.45 named them."""
    found = {"visual.patch_embed.proj.weight": (32, 3, 2, 14, 14)}
    for i in range(2):
        block = {
            "norm1": (32,), "norm2": (32,), "attn.qkv": (96, 32), "attn.proj": (32, 32),
            "mlp.fc1": (64, 32), "mlp.fc2": (32, 64),
        }  # fmt: skip
        for part, shape in block.items():
            found |= {f"visual.blocks.{i}.{part}.weight": shape, f"visual.blocks.{i}.{part}.bias": shape[:1]}
    for part, shape in {"ln_q": (32,), "mlp.0": (MERGED, MERGED), "mlp.2": (WIDTH, MERGED)}.items():
        found |= {f"visual.merger.{part}.weight": shape, f"visual.merger.{part}.bias": shape[:1]}
    found["model.embed_tokens.weight"] = (vocabulary, WIDTH)
    for i in range(2):
        layer = {
            "input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,), "self_attn.q_proj": (WIDTH, WIDTH),
            "self_attn.k_proj": (16, WIDTH), "self_attn.v_proj": (16, WIDTH), "self_attn.o_proj": (WIDTH, WIDTH),
            "mlp.gate_proj": (WIDE, WIDTH), "mlp.up_proj": (WIDE, WIDTH), "mlp.down_proj": (WIDTH, WIDE),
        }  # fmt: skip
        found |= {f"model.layers.{i}.{part}.weight": shape for part, shape in layer.items()}
        found |= {
            f"model.layers.{i}.self_attn.{part}_proj.bias": (size,)
            for part, size in zip("qkv", (32, 16, 16), strict=True)
        }
    found |= {"model.norm.weight": (WIDTH,), "lm_head.weight": (vocabulary, WIDTH)}
    for place, (into, out) in zip((0, 3, 5), pairwise((WIDTH, *HEAD)), strict=True):
        found |= {f"rm_head.{place}.weight": (out, into), f"rm_head.{place}.bias": (out,)}
    return found


def folder(place: Path) -> str:
    """Save configuration, processor and weights: the vocabulary has one word more, the reward's."""
    tokens = tiny_flows.qwen_tokenizer(*MARKS)
    transformers.Qwen2VLProcessor(
        transformers.Qwen2VLImageProcessor(), tokens, transformers.Qwen2VLVideoProcessor(), chat_template=TEMPLATE
    ).save_pretrained(place)
    (place / "config.json").write_text(json.dumps(configuration(tokens)))
    made = {name: torch.tensor(weight(name, shape, 5.0)).float() for name, shape in shapes(len(tokens) + 1).items()}
    save_file(made, place / "HPSv3.safetensors")
    return str(place)
