"""Names of layers in the published checkpoint of a transformer, as ComfyUI reads them; one may hold several layers."""

import re
from dataclasses import dataclass

EQUAL = (1, 1, 1)
QKV = ("q", "k", "v")


@dataclass(frozen=True)
class Place:
    """Where a layer of diffusers lies in the published checkpoint.

    Attributes:
        layer: its name there.
        part: which of the layers that were put on top of each other it is.
        heights: of these, relative to each other; one number where it lies alone, zeros where they follow no rule.
    """

    layer: str
    part: int = 0
    heights: tuple[int, ...] = (1,)


Tails = dict[str, Place]


def _qkv(tail: str, layer: str, heights: tuple[int, ...] = EQUAL) -> Tails:
    return {tail.format(which): Place(layer, part, heights) for part, which in enumerate(QKV)}


def _renamed(**layers: str) -> Tails:
    return {tail.replace("__", "."): Place(layer) for tail, layer in layers.items()}


_DOUBLE = {
    **_qkv("attn.to_{}", "img_attn.qkv"),
    **_qkv("attn.add_{}_proj", "txt_attn.qkv"),
    **_renamed(attn__to_out__0="img_attn.proj", attn__to_add_out="txt_attn.proj"),
    **_renamed(norm1__linear="img_mod.lin", norm1_context__linear="txt_mod.lin"),
    **_renamed(ff__net__0__proj="img_mlp.0", ff__net__2="img_mlp.2"),
    **_renamed(ff_context__net__0__proj="txt_mlp.0", ff_context__net__2="txt_mlp.2"),
    **_renamed(ff__linear_in="img_mlp.0", ff__linear_out="img_mlp.2"),  # of FLUX.2
    **_renamed(ff_context__linear_in="txt_mlp.0", ff_context__linear_out="txt_mlp.2"),
}
_SINGLE = {
    **_qkv("attn.to_{}", "linear1", (*EQUAL, 4)),
    "proj_mlp": Place("linear1", 3, (*EQUAL, 4)),
    **_renamed(proj_out="linear2", norm__linear="modulation.lin"),
    **_renamed(attn__to_qkv_mlp_proj="linear1", attn__to_out="linear2"),  # of FLUX.2
}
_JOINT = {
    **_qkv("attn.to_{}", "x_block.attn.qkv"),
    **_qkv("attn2.to_{}", "x_block.attn2.qkv"),
    **_qkv("attn.add_{}_proj", "context_block.attn.qkv"),
    **_renamed(attn__to_out__0="x_block.attn.proj", attn2__to_out__0="x_block.attn2.proj"),
    **_renamed(attn__to_add_out="context_block.attn.proj"),
    **_renamed(ff__net__0__proj="x_block.mlp.fc1", ff__net__2="x_block.mlp.fc2"),
    **_renamed(ff_context__net__0__proj="context_block.mlp.fc1", ff_context__net__2="context_block.mlp.fc2"),
}
_NEXT = {  # Lumina-Image 2.0: fewer keys and values than queries
    **_qkv("attn.to_{}", "attention.qkv", (0, 0, 0)),
    **_renamed(attn__to_out__0="attention.out", norm1__linear="adaLN_modulation.1"),
    **_renamed(feed_forward__linear_1="feed_forward.w1", feed_forward__linear_2="feed_forward.w2"),
    **_renamed(feed_forward__linear_3="feed_forward.w3"),
}
_Z = {
    **_qkv("attention.to_{}", "attention.qkv"),
    **_renamed(attention__to_out__0="attention.out"),
    **{tail: Place(tail) for tail in ("feed_forward.w1", "feed_forward.w2", "feed_forward.w3", "adaLN_modulation.0")},
}
_KREA = {
    **_renamed(attn__to_q="attn.wq", attn__to_k="attn.wk", attn__to_v="attn.wv", attn__to_out__0="attn.wo"),
    **_renamed(attn__to_gate="attn.gate", ff__gate="mlp.gate", ff__up="mlp.up", ff__down="mlp.down"),
}
_STREAMS = {"transformer_blocks": ("double_blocks", _DOUBLE), "single_transformer_blocks": ("single_blocks", _SINGLE)}

# By family, then by the name of a list of blocks: its published name, and the layers of a block. As ComfyUI's
# comfy/utils.py tells them (flux_to_diffusers, mmdit_to_diffusers, z_image_to_diffusers, krea2_to_diffusers);
# Lumina's as diffusers' converter of its LoRAs does.
_FAMILIES: dict[str, dict[str, tuple[str, Tails]]] = {
    **dict.fromkeys(("flux1", "flux2", "chroma"), _STREAMS),
    "sd3": {"transformer_blocks": ("joint_blocks", _JOINT)},
    "lumina2": {blocks: (blocks, _NEXT) for blocks in ("layers", "noise_refiner", "context_refiner")},
    "z_image": {blocks: (blocks, _Z) for blocks in ("layers", "noise_refiner", "context_refiner")},
    "krea2": {
        "transformer_blocks": ("blocks", _KREA),
        "text_fusion.layerwise_blocks": ("txtfusion.layerwise_blocks", _KREA),
        "text_fusion.refiner_blocks": ("txtfusion.refiner_blocks", _KREA),
    },
}
SAME = ("qwen_image",)  # families whose published names are diffusers'
_BLOCK = re.compile(r"(?P<blocks>[a-z_.]+)\.(?P<number>\d+)\.(?P<tail>.+)")


def known(family: str | None) -> bool:
    """Whether the published names of a family's layers are known."""
    return family in _FAMILIES or family in SAME


def place(family: str | None, module: str) -> Place | None:
    """Where a layer lies in the published checkpoint; None where that is not known.

    Args:
        family: as `Backbone.family` has it.
        module: the layer's name in diffusers.
    """
    if family in SAME:
        return Place(module)
    match = _BLOCK.fullmatch(module)
    blocks = _FAMILIES.get(family or "", {}).get(match["blocks"]) if match else None
    if match is None or blocks is None or match["tail"] not in blocks[1]:
        return None
    found = blocks[1][match["tail"]]
    return Place(f"{blocks[0]}.{match['number']}.{found.layer}", found.part, found.heights)
