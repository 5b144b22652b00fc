"""Single-file checkpoints in the names that CompVis's code gave Stable Diffusion, written from diffusers pipelines."""

import re
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

# of a UNet with two blocks of one layer, as `tiny_families.unet`
BLOCKS = {
    "conv_in": "input_blocks.0.0",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "down_blocks.1.attentions.0": "input_blocks.3.1",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.attentions.0": "output_blocks.0.1",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.attentions.1": "output_blocks.1.1",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",  # of Stable Diffusion XL
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE = (  # in this order; of two blocks, of which the decoder's count backwards
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.0\.resnets\.(\d)", r"up.1.block.\1"),
    (r"up_blocks\.1\.resnets\.(\d)", r"up.0.block.\1"),
    (r"up_blocks\.0\.upsamplers\.0", "up.1.upsample"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
)


def _unet(name: str) -> str:
    block = next(block for block in BLOCKS if name.startswith(f"{block}."))
    rest = name.removeprefix(f"{block}.")
    if ".resnets." in name:
        part, _, kind = rest.rpartition(".")
        rest = f"{RESNET[part]}.{kind}"
    return f"{BLOCKS[block]}.{rest}"


def _vae(name: str) -> str:
    for pattern, other in VAE:
        name = re.sub(pattern, other, name)
    return name


OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks",
    "layer_norm": "ln_",
    "self_attn": "attn",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def _open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder in OpenCLIP's names: queries, keys and values of a layer in one matrix."""
    found = {}
    for name, value in state.items():
        if name == "text_projection.weight":
            found["text_projection"] = value.T
            continue
        own = name.removeprefix("text_model.")
        for ours, theirs in OPEN_CLIP.items():
            own = own.replace(ours, theirs)
        if ".q_proj." in own:
            parts = [state[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            found[own.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
        elif ".k_proj." not in own and ".v_proj." not in own:
            found[own] = value
    return found


def write(pipe: DiffusionPipeline, path: Path) -> Path:
    """Write Stable Diffusion 1.x, or XL, as one file."""
    tensors = {f"model.diffusion_model.{_unet(name)}": value for name, value in pipe.unet.state_dict().items()}
    for name, value in pipe.vae.state_dict().items():
        flat = ".attentions." in name and name.endswith("weight") and value.ndim == 2  # 1x1 convolutions there
        tensors[f"first_stage_model.{_vae(name)}"] = value[:, :, None, None] if flat else value
    second = getattr(pipe, "text_encoder_2", None)
    first = "cond_stage_model" if second is None else "conditioner.embedders.0"
    for name, value in pipe.text_encoder.state_dict().items():
        tensors[f"{first}.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    if second is not None:
        named = _open_clip(second.state_dict())
        tensors |= {f"conditioner.embedders.1.model.{name}": value for name, value in named.items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path
