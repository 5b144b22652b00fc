"""Any image classifier of transformers, with the labels that params call unsafe."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Images, Prompt, Verdicts, batches, pictures
from versat2i.settings.complaints import hint

if TYPE_CHECKING:
    from torch import Tensor


def safe(logits: "Tensor", unsafe: list[int], several: bool) -> "Tensor":
    """``1 - sum_u softmax_u(l)``, or where an image may have several labels ``prod_u (1 - sigmoid(l_u))``.

    Args:
        logits: l, ``[images, labels]``.
        unsafe: u, the places of the unsafe labels.
        several: whether labels do not exclude each other.

    Returns:
        ``float64 [images]``, in [0, 1].
    """
    if several:
        return (1.0 - logits.double()[:, unsafe].sigmoid()).prod(-1)
    return (1.0 - logits.double().softmax(-1)[:, unsafe].sum(-1)).clamp(0.0, 1.0)


def places(unsafe: Sequence[str], labels: Mapping[int, str], model: object) -> list[int]:
    """The places of labels among a model's.

    Raises:
        ValueError: one is none of them.
    """
    known = {str(label): place for place, label in labels.items()}
    for label in unsafe:
        if label not in known:
            raise ValueError(
                f"{model}: unsafe: {label!r} is none of its labels ({', '.join(known)}){hint(label, list(known))}"
            )
    return sorted({known[label] for label in unsafe})


class Seer(weights.Holder):
    """An image classifier."""

    kind = "AutoModelForImageClassification"

    @cached_property
    def _processor(self) -> Any:
        return self.weights.load("AutoImageProcessor")

    @property
    def labels(self) -> dict[int, str]:
        return self._model.config.id2label

    @property
    def several(self) -> bool:
        """Whether it was trained to give an image several labels."""
        return self._model.config.problem_type == "multi_label_classification"

    def logits(self, images: Images) -> "Tensor":
        """Probability of each label, ``[batch, labels]``, on the CPU."""
        import torch  # heavy

        model = self._model
        pixels = self._processor(pictures(images), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            return model(pixels.to(model.device, model.dtype)).logits.float().cpu()


class Classifier:
    """`safe` by an image classifier of transformers."""

    name = "classifier"
    metric = "safety"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self,
        model: str,
        unsafe: list[str],
        dtype: str = "float32",
        batch_size: int = 32,
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            model: an image classifier, a folder or ``repository@revision``.
            unsafe: labels of what is not safe, as its config has them.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.

        Raises:
            ValueError: there is no unsafe label.
        """
        if not unsafe:
            raise ValueError("classifier: unsafe is empty; name the labels of what is not safe")
        self.model, self._unsafe, self.batch_size = Seer(model, dtype, trust_remote_code, device), unsafe, batch_size
        self.weights = [self.model.weights]
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}"

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        unsafe = places(self._unsafe, self.model.labels, self.model.weights)
        scores: Verdicts = []
        for some, _ in batches(self.batch_size, images, prompts):
            scores += safe(self.model.logits(some), unsafe, self.model.several).tolist()
        return scores
