"""Which choice an answer means, by sentence embeddings, as TIFA does (Hu et al. 2023)."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from versat2i.models.pretrained import weights

if TYPE_CHECKING:
    from torch import Tensor


class Embedder(weights.Holder):
    """A sentence transformer such as ``all-mpnet-base-v2``: the mean of its last states."""

    kind = "AutoModel"
    unused = ("pooler.",)

    def __init__(self, model: str, device: str = "cpu") -> None:
        super().__init__(model, "float32", device=device)

    @cached_property
    def _tokenizer(self) -> Any:
        return self.weights.load("AutoTokenizer")

    def embed(self, texts: Sequence[str]) -> "Tensor":
        """``e / |e|`` with ``e = sum_t m_t h_t / sum_t m_t``, h the last states and m = 1 on tokens, 0 on padding.

        Returns:
            ``float32 [texts, d]``.
        """
        import torch  # heavy

        inputs = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        inputs = inputs.to(self._model.device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None].to(states)
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)

    def nearest(self, text: str, choices: Sequence[str]) -> str:
        """The choice whose embedding has the largest cosine with that of an answer; the first wins a tie."""
        said, *others = self.embed([text, *choices])
        return choices[max(range(len(choices)), key=lambda place: float(others[place] @ said))]
