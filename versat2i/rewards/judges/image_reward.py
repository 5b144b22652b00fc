"""ImageReward (Xu et al. 2023): predict people's preference with a BLIP that attends to prompt and image together."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from versat2i.models.pretrained import weights as pretrained
from versat2i.rewards.common.base import OWN_LICENCE, Images, Prompt, Verdicts, batches, pictures
from versat2i.rewards.common.clip import Limit

if TYPE_CHECKING:
    from torch import Tensor

Weights = dict[str, "Tensor"]

FILE = "ImageReward.pt"
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072  # of the raw rewards, by its authors
LONGEST = 35  # tokens of a prompt, as in its training
HEAD = 64  # channels of an attention head, in both of its transformers
CONSTANTS = {"embeddings.position_ids"}  # that old versions of transformers saved
RENAMED = (  # BLIP's own names of the vision transformer's parts, and those of transformers
    ("cls_token", "embeddings.class_embedding"),
    ("pos_embed", "embeddings.position_embedding"),
    ("patch_embed.proj.", "embeddings.patch_embedding."),
    ("blocks.", "encoder.layers."),
    (".attn.proj.", ".self_attn.projection."),
    (".attn.", ".self_attn."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
)


def below(weights: Weights, prefix: str) -> Weights:
    """The weights whose name begins with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def renamed(weights: Weights) -> Weights:
    """A vision transformer's weights under the names of transformers."""
    found = {}
    for name, value in weights.items():
        if name.startswith("norm."):
            name = f"post_layernorm.{name.removeprefix('norm.')}"
        for theirs, ours in RENAMED:
            name = name.replace(theirs, ours)
        found[name] = value
    return found


def _depth(weights: Weights, prefix: str) -> int:
    """Count the layers with names such as ``<prefix>7.``."""
    return 1 + max(int(name.split(".")[0]) for name in below(weights, prefix))


def _vision_config(weights: Weights) -> Any:
    """The sizes of a vision transformer, read from its weights."""
    from transformers import BlipVisionConfig

    width, _, patch, _ = weights["embeddings.patch_embedding.weight"].shape
    side = int((weights["embeddings.position_embedding"].shape[1] - 1) ** 0.5)
    return BlipVisionConfig(
        hidden_size=width,
        intermediate_size=weights["encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=_depth(weights, "encoder.layers."),
        num_attention_heads=width // HEAD,
        image_size=side * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,
    )


def _text_config(weights: Weights) -> Any:
    """The sizes of a text transformer with cross-attention, read from its weights."""
    from transformers import BlipTextConfig

    vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
    return BlipTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        encoder_hidden_size=weights["encoder.layer.0.crossattention.self.key.weight"].shape[1],
        intermediate_size=weights["encoder.layer.0.intermediate.dense.weight"].shape[0],
        num_hidden_layers=_depth(weights, "encoder.layer."),
        num_attention_heads=width // HEAD,
        max_position_embeddings=weights["embeddings.position_embeddings.weight"].shape[0],
    )


def _filled(model: Any, weights: Weights, device: str) -> Any:
    """A model with these weights, for inference.

    Raises:
        RuntimeError: a weight is missing, too many or of another shape.
    """
    model.load_state_dict({name: value for name, value in weights.items() if name not in CONSTANTS})
    return model.requires_grad_(False).eval().to(device)


def _mlp(weights: Weights, device: str) -> Any:
    """Linear layers in the order of their numbers, between which dropout stood."""
    from torch.nn import Linear, Sequential

    order = sorted({int(name.split(".")[0]) for name in weights})
    shapes = [weights[f"{place}.weight"].shape for place in order]
    values = {f"{i}.{part}": weights[f"{place}.{part}"] for i, place in enumerate(order) for part in ("weight", "bias")}
    return _filled(Sequential(*(Linear(inputs, outputs) for outputs, inputs in shapes)), values, device)


class ImageReward:
    """``(mlp(h) - mean) / deviation`` with h the first state of the prompt's text transformer, which sees the image.

    The mlp has five linear layers and nothing between them, as its authors trained it.
    """

    name = "image_reward"
    metric = "image_reward"
    higher_is_better = True
    range = (-np.inf, np.inf)
    licence = f"{OWN_LICENCE}; {pretrained.LICENCE}"

    def __init__(self, model: str, tokenizer: str, batch_size: int = 32, device: str = "cpu") -> None:
        """Make one.

        Args:
            model: where ``ImageReward.pt`` lies: a folder, or ``repository@revision``.
            tokenizer: BERT's (uncased), a folder or ``repository@revision``.
            batch_size: images at once.
            device: to compute on.
        """
        self._weights, self._words = (pretrained.parse(source, "float32") for source in (model, tokenizer))
        self.batch_size, self._device = batch_size, device
        self._limit = Limit(str(self._weights))
        self.weights = [self._weights, self._words]
        self.licence = f"{OWN_LICENCE}; {model}: {pretrained.LICENCE}"

    @cached_property
    def _tokenizer(self) -> Any:
        return self._words.load("AutoTokenizer")

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        """The vision transformer, the text transformer and the mlp."""
        from transformers import BlipTextModel, BlipVisionModel  # heavy

        weights = self._weights.tensors(FILE)
        seen, read = renamed(below(weights, "blip.visual_encoder.")), below(weights, "blip.text_encoder.")
        try:
            return (
                _filled(BlipVisionModel(_vision_config(seen)), seen, self._device),
                _filled(BlipTextModel(_text_config(read), add_pooling_layer=False), read, self._device),
                _mlp(below(weights, "mlp.layers."), self._device),
            )
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self._weights}: {FILE} does not hold the weights of ImageReward "
                f"({' '.join(str(error).split())[:300]}). Take the file that its authors published"
            ) from None

    def rewards(self, images: Images, texts: list[str]) -> NDArray[np.float64]:
        """The reward of each image for its own text, ``float64 [batch]``."""
        import torch  # heavy
        from transformers import CLIPImageProcessor

        vision, text, head = self._parts
        size = vision.config.image_size
        prepare = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
        pixels = prepare(pictures(images), return_tensors="pt").to(vision.device)
        self._limit.check(self._tokenizer, texts, LONGEST)
        words = self._tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        words = words.to(vision.device)
        with torch.inference_mode():
            seen = vision(pixels["pixel_values"]).last_hidden_state
            states = text(words["input_ids"], words["attention_mask"], encoder_hidden_states=seen).last_hidden_state
            raw = head(states[:, 0])[:, 0]
        return ((raw.double() - MEAN) / DEVIATION).cpu().numpy()

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        scores: Verdicts = []
        for some, theirs in batches(self.batch_size, images, prompts):
            scores += self.rewards(some, [prompt.text for prompt in theirs]).tolist()
        return scores
