"""Where a layer of diffusers lies in the published checkpoint: recorded from ComfyUI's comfy/utils.py."""

import pytest

from versat2i.models.diffusion import published
from versat2i.models.diffusion.published import Place

FOUR = (1, 1, 1, 4)


@pytest.mark.parametrize(
    ("family", "module", "expected"),
    [
        ("flux1", "transformer_blocks.7.attn.to_k", Place("double_blocks.7.img_attn.qkv", 1, (1, 1, 1))),
        ("chroma", "transformer_blocks.0.attn.add_v_proj", Place("double_blocks.0.txt_attn.qkv", 2, (1, 1, 1))),
        ("flux1", "single_transformer_blocks.3.proj_mlp", Place("single_blocks.3.linear1", 3, FOUR)),
        ("flux2", "single_transformer_blocks.3.attn.to_qkv_mlp_proj", Place("single_blocks.3.linear1")),
        ("flux2", "transformer_blocks.0.ff.linear_in", Place("double_blocks.0.img_mlp.0")),
        ("sd3", "transformer_blocks.1.attn2.to_q", Place("joint_blocks.1.x_block.attn2.qkv", 0, (1, 1, 1))),
        ("sd3", "transformer_blocks.1.ff_context.net.0.proj", Place("joint_blocks.1.context_block.mlp.fc1")),
        ("lumina2", "noise_refiner.1.attn.to_out.0", Place("noise_refiner.1.attention.out")),
        ("z_image", "layers.2.attention.to_v", Place("layers.2.attention.qkv", 2, (1, 1, 1))),
        ("krea2", "text_fusion.refiner_blocks.1.attn.to_q", Place("txtfusion.refiner_blocks.1.attn.wq")),
        ("qwen_image", "transformer_blocks.0.attn.to_q", Place("transformer_blocks.0.attn.to_q")),
        ("sana", "transformer_blocks.0.attn1.to_q", None),
        ("flux1", "x_embedder", None),
        (None, "x", None),
    ],
)
def test_a_layer_has_its_published_name_and_part(family, module, expected):
    assert published.place(family, module) == expected


def test_the_families_with_published_names_are_those_that_comfyui_has():
    named = {"flux1", "flux2", "chroma", "sd3", "lumina2", "z_image", "krea2", "qwen_image"}
    assert {family for family in [*named, "sana", "sd1", None] if published.known(family)} == named
