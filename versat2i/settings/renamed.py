"""Keys of version 0.1 that have another name or place now."""

from typing import Any

_OF_GATES = (
    "objective",
    "scope",
    "scale",
    "balance",
    "steps",
    "batch_size",
    "learning_rate",
    "lr_scheduler",
    "timesteps",
    "caption_dropout",
    "min_snr",
    "checkpoint_every",
)


def in_params(content: dict[str, Any]) -> list[str]:
    """One line for each old key of params.yaml: its name, and the new one."""
    mix, evaluate = content.get("mix"), content.get("evaluate")
    lines = []
    if isinstance(mix, dict):
        old = [key for key in _OF_GATES if key in mix and not isinstance(mix[key], dict)]
        lines += [f"mix.{key} is now mix.mixture.{key}, in a section that begins with `kind: gates`" for key in old]
        if isinstance(mix.get("variants"), list):
            lines.append("mix.variants is now a section of mix for each variant, e.g. `uniform: {kind: uniform}`")
    if isinstance(evaluate, dict) and isinstance(evaluate.get("variants"), dict):
        names = ", ".join(map(str, evaluate["variants"]))
        lines.append(f"evaluate.variants is now a list of names: `variants: [{names}]`; `make graph` knows the paths")
    return lines


def in_compute(content: Any) -> list[str]:
    """One line for each old key of compute.yaml."""
    if isinstance(content, dict) and "vae_tiling" in content:
        return ["vae_tiling is now model.vae_tiling in params.yaml: it can change an image"]
    return []
