"""Put a saved adapter, a plain LoRA or a mixture, into a model."""

from pathlib import Path

from versat2i import lora, mixture
from versat2i.backbone import Backbone


def put(backbone: Backbone, folder: Path) -> None:
    """Load the adapter of a folder into a backbone.

    Args:
        backbone: the base model it was trained on.
        folder: with ``pytorch_lora_weights.safetensors`` (by diffusers' own loader) or a mixture.

    Raises:
        ValueError: there is no adapter, it is damaged, or it belongs to another base model.
    """
    if (folder / mixture.RECIPE).exists():
        check_base(mixture.read_recipe(folder).metadata, backbone, folder)
        backbone.masking = mixture.load(backbone.denoiser, folder).masking
        return
    adapter = lora.read(folder, folder.name)
    check_base(adapter.metadata, backbone, folder)
    backbone.pipe.load_lora_weights(folder, adapter_name=adapter.name)


def check_base(metadata: dict[str, str], backbone: Backbone, folder: Path) -> None:
    """Refuse an adapter that was made for another base model.

    Raises:
        ValueError: the base's revision is not the one in the adapter's metadata.
    """
    made_for, found = metadata.get("revision"), backbone.identity["revision"]
    if made_for != found:
        raise ValueError(
            f"{folder}: made for {metadata.get('base_model')} at revision {made_for}, but the model in "
            f"params.yaml is {backbone.identity['base_model']} at {found}. Train it again or change `model`"
        )
