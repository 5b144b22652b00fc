"""What a denoiser is told of prompts, as tensors of one length."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class Embeddings:
    """What a denoiser is told of prompts.

    Texts of several lengths are filled up to the longest with zeros; `mask` says how long each is.

    Attributes:
        hidden: an embedding a token, ``[batch, tokens, d]``; of some families of several layers, ``[.., layers, d]``.
        mask: which tokens are text, not padding, bool ``[batch, tokens]``.
        pooled: one embedding a prompt, ``[batch, d_pooled]``; None for families without.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor | None = None

    def __getitem__(self, rows: Any) -> "Embeddings":
        return Embeddings(self.hidden[rows], self.mask[rows], None if self.pooled is None else self.pooled[rows])

    def __len__(self) -> int:
        return len(self.hidden)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Embeddings":
        """The same on a device, its numbers in a dtype."""
        pooled = None if self.pooled is None else self.pooled.to(device, dtype)
        return Embeddings(self.hidden.to(device, dtype), self.mask.to(device), pooled)

    def expand(self, amount: int) -> "Embeddings":
        """The one row, `amount` times."""
        parts = (getattr(self, part.name) for part in fields(self))
        return Embeddings(*(None if part is None else part.expand(amount, *part.shape[1:]) for part in parts))

    def rows(self) -> list[Tensor]:
        """Each text without its padding, ``[tokens, d]``."""
        return [hidden[mask] for hidden, mask in zip(self.hidden, self.mask, strict=True)]

    @staticmethod
    def of_lengths(rows: list[Tensor]) -> "Embeddings":
        """Stack embeddings of texts of their own lengths, each ``[tokens, d]``, padded to the longest."""
        hidden = pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows], device=hidden.device)
        return Embeddings(hidden, torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None])

    def lengthened(self, tokens: int) -> "Embeddings":
        """Pad up to a number of tokens."""
        missing = tokens - self.mask.shape[1]
        if missing <= 0:
            return self
        hidden, mask = (
            torch.cat([part, part.new_zeros(len(part), missing, *part.shape[2:])], dim=1)
            for part in (self.hidden, self.mask)
        )
        return Embeddings(hidden, mask, self.pooled)

    def trimmed(self) -> "Embeddings":
        """Without the padding after the longest text."""
        used = max(int(self.mask.any(0).nonzero().max()) + 1, 1) if self.mask.any() else 1
        return Embeddings(self.hidden[:, :used], self.mask[:, :used], self.pooled)

    def replaced(self, rows: Tensor, empty: "Embeddings") -> "Embeddings":
        """A copy in which the one row of `empty` stands where `rows`, bool ``[batch]``, is true."""
        tokens = max(self.mask.shape[1], empty.mask.shape[1])
        own, empty = self.lengthened(tokens), empty.lengthened(tokens)
        hidden, mask = own.hidden.clone(), own.mask.clone()
        hidden[rows], mask[rows] = empty.hidden[0], empty.mask[0]
        if own.pooled is None or empty.pooled is None:
            return Embeddings(hidden, mask)
        pooled = own.pooled.clone()
        pooled[rows] = empty.pooled[0]
        return Embeddings(hidden, mask, pooled)

    @staticmethod
    def concatenate(parts: list["Embeddings"]) -> "Embeddings":
        tokens = max(part.mask.shape[1] for part in parts)
        parts = [part.lengthened(tokens) for part in parts]
        pooled = [p.pooled for p in parts if p.pooled is not None]
        return Embeddings(
            torch.cat([p.hidden for p in parts]),
            torch.cat([p.mask for p in parts]),
            torch.cat(pooled) if pooled else None,
        )
