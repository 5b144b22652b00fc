"""Read peft's settings in a LoRA file: each layer's scale. Variants other than plain LoRA are refused."""

import math
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from peft import LoraConfig
from peft.utils.other import get_pattern_key
from torch import Tensor

Layers = dict[str, Tensor]

PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")  # of A and B; others change the base's weights too
HARMLESS = {  # settings that say nothing of the update, or that `uniform` follows
    *("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("task_type", "peft_type", "peft_version", "auto_mapping", "base_model_name_or_path", "revision"),
    *("inference_mode", "lora_dropout", "eva_config", "ensure_weight_tying"),
}


def check_plain(config: dict[str, Any], path: Path) -> None:
    """Refuse a LoRA whose update is more than ``scale B A``, such as DoRA's.

    Args:
        config: peft's settings of the denoiser's LoRA, without the denoiser's name in front.
        path: of the file.

    Raises:
        ValueError: a setting is not peft's default and changes the update.
    """
    default = LoraConfig()
    for name, value in sorted(config.items()):
        plain = name in HARMLESS or not value or value == getattr(default, name, None)
        if name == "init_lora_weights":
            plain = value in PLAIN_STARTS
        if not plain:
            raise ValueError(
                f"{path}: was trained with {name}: {value}, which a plain LoRA cannot represent. Train it without, or "
                "merge it into a copy of the base model"
            )


def uniform(down: Layers, up: Layers, config: dict[str, Any], path: Path) -> tuple[Layers, Layers]:
    """The same updates at one rank and one scale, ``lora_alpha / rank``, in all layers.

    A layer's own scale is ``alpha / r``, with rsLoRA ``alpha / sqrt(r)`` (Kalajdzievski 2023, arXiv 2312.03732), alpha
    and r by peft's patterns. B takes up the difference; a lower rank is filled up with zeros.

    Args:
        down: A by module name.
        up: B by module name.
        config: peft's settings, with `lora_alpha`.
        path: of the file.

    Raises:
        ValueError: a layer has another rank than the settings say.
    """
    most = max(len(weight) for weight in down.values())
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    base = config["lora_alpha"]
    downs, ups = {}, {}
    for module, weight in down.items():
        rank = ranks.get(get_pattern_key(ranks, module), config.get("r", len(weight)))
        if not len(weight) == up[module].shape[1] == rank > 0:
            raise ValueError(
                f"{path}: rank {rank} does not fit layer '{module}' (A {list(weight.shape)}, "
                f"B {list(up[module].shape)}). Run `dvc repro train_lora`"
            )
        alpha = alphas.get(get_pattern_key(alphas, module), base)
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        factor, missing = scale / (base / most), most - rank
        kernel = (0, 0) * (weight.ndim - 2)  # of a convolution
        downs[module] = F.pad(weight, (*kernel, 0, 0, 0, missing)) if missing else weight
        padded = F.pad(up[module], (*kernel, 0, missing)) if missing else up[module]
        ups[module] = padded if factor == 1 else factor * padded.float()
    return downs, ups
