"""versat2i: make a text-to-image model better by its own best images."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

__all__ = ["load"]


def load(
    folder: str | Path, device: str = "cpu", dtype: str = "float32", base: str | None = None
) -> "DiffusionPipeline":
    """An ordinary diffusers pipeline with an adapter in place: a mixture, an expert or a merge, or another's LoRA.

    Args:
        folder: e.g. ``data/adapters/mixture``; it names its base model. With `base`: a file or folder of a LoRA that
            PEFT, kohya, diffusers or ComfyUI trainers wrote.
        device: where to put the pipeline.
        dtype: float32, float16 or bfloat16.
        base: of a LoRA made elsewhere, its base model: a folder or ``owner/name@commit``.

    Raises:
        ValueError: there is no adapter in the folder, it is damaged, or its base model is not there.
    """
    from versat2i.adapters import loading  # torch and diffusers take seconds to import

    return loading.load(Path(folder), device, dtype, base)
