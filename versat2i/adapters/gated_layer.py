"""One mixed layer: a frozen layer, its frozen experts, and the gate that weighs them.

    y = W x + lambda sum_i g_i s_i B_i A_i x,      g = softmax((E norm(h) + b) / tau)

W and the experts (B_i A_i, scale s_i) are frozen; E, b, tau and lambda are learned. h is each token of
the layer's input (scope ``token``), their mean (``image``), the timestep's embedding (``time``), the
prompt's (``prompt``; both: `conditions`), or nothing (``layer``: b alone). The gate of MoLE (Wu et al.
2024) reads all tokens flattened, which ties it to one resolution; these do not.
In a convolution W and A_i are kernels of one size, B_i is 1x1, and each place of the image is a token.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from versat2i.adapters.conditions import Condition, pool
from versat2i.formats.recipe import Scope
from versat2i.models.diffusion import names, quantized


def mix(x: Tensor, down: Tensor, up: Tensor, gate: Tensor, owner: Tensor) -> Tensor:
    """Gated sum of LoRA experts, ``sum_i g_i B_i A_i x``, as two products whatever their number.

    Scaling the rows of ``A x`` that belong to expert i by g_i and then applying the stacked B is the
    same sum without a loop over experts (MoLE, Wu et al. 2024, eq. 12-13). With ranks r_i:

    Args:
        x: layer input, ``[batch, tokens, d_in]``.
        down: the A_i stacked, ``[sum r_i, d_in]``.
        up: the B_i side by side with their scales folded in, ``[d_out, sum r_i]``.
        gate: weights of the experts, ``[batch, tokens, experts]``, or any shape that broadcasts to it.
        owner: 1 where a row of ``A x`` belongs to an expert, else 0, ``[experts, sum r_i]``.

    Returns:
        The update to add to ``W x``, ``[batch, tokens, d_out]``.
    """
    return F.linear(F.linear(x, down) * (gate.to(owner.dtype) @ owner), up)


class Gate(nn.Module):
    """``g = softmax((E norm(h) + b) / tau)``: E and b start at zero, so that g starts uniform.

    norm is a layer norm without parameters, tau = exp(log_tau); computed in float32 whatever the model's.
    """

    weight: nn.Parameter | None

    def __init__(self, scope: Scope, experts: int, d_in: int) -> None:
        super().__init__()
        self.scope = scope
        self.register_parameter("weight", None if scope == "layer" else nn.Parameter(torch.zeros(experts, d_in)))
        self.bias = nn.Parameter(torch.zeros(experts))
        self.log_tau = nn.Parameter(torch.zeros(()))
        self.scale = nn.Parameter(torch.ones(()))  # lambda

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Weights that sum to 1 over experts.

        Args:
            x: layer input, ``[batch, tokens, d_in]``; of ``time`` and ``prompt`` their vector, ``[batch, 1, d]``.
            mask: True where a token is not padding, ``[batch, tokens]``; only ``image`` looks at it.

        Returns:
            ``[batch, tokens, experts]`` for ``token``, ``[experts]`` for ``layer``, else ``[batch, 1, experts]``.
        """
        with torch.autocast(x.device.type, enabled=False):
            return torch.softmax(self._logits(x, mask) / self.log_tau.float().exp(), dim=-1)

    def _logits(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.weight is None:
            return self.bias.float()
        hidden = pool(x.float(), mask) if self.scope == "image" else x.float()
        return F.linear(F.layer_norm(hidden, hidden.shape[-1:]), self.weight.float(), self.bias.float())


class Mixed(nn.Module):
    """A frozen layer plus its frozen experts, mixed by a gate: ``W x + update(x)``."""

    down: Tensor
    up: Tensor
    owner: Tensor

    def __init__(
        self,
        base: nn.Linear | nn.Conv2d,
        down: Tensor,
        up: Tensor,
        ranks: list[int],
        scope: Scope,
        condition: Condition | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        owner = torch.eye(len(ranks)).repeat_interleave(torch.tensor(ranks), dim=1)
        for name, value in {"down": down, "up": up, "owner": owner}.items():
            self.register_buffer(name, quantized.like(base, value), persistent=False)
        self.condition = condition  # what the gate looks at, where that is not the layer's input
        width = quantized.shape(base)[1] if condition is None else condition.width
        self.gate = Gate(scope, len(ranks), width).to(base.weight.device)
        self.train(base.training)
        self.mask: Tensor | None = None  # of the text, while one is given
        self.layout: names.Layout = names.text_alone  # where the text's tokens stand in the input
        self.fixed: Tensor | None = None  # weights that stand in for lambda g
        self.silent = False  # the base layer alone speaks
        self.last: Tensor | None = None  # mean gate of the last forward pass in training, with gradient
        self.recorded: Tensor | None = None  # mean gate that a loaded mixture was saved with
        self.reset()

    def reset(self) -> None:
        """Forget the gates seen so far."""
        self.seen: Tensor | float = 0.0
        self.images = 0

    def mean_gate(self) -> Tensor | None:
        """Mean gate over the images seen, ``[experts]``; without any that on record, if there is one."""
        return self.seen / self.images if isinstance(self.seen, Tensor) else self.recorded

    @property
    def weight(self) -> Tensor:
        """The base layer's: attention processors look at its dtype."""
        return self.base.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        """``W x + lambda sum_i g_i s_i B_i A_i x``, of the shape of ``W x``; ``W x`` while silent."""
        return self.base(x) if self.silent else self.base(x) + self.update(x)

    def update(self, x: Tensor) -> Tensor:
        """``lambda sum_i g_i s_i B_i A_i x``."""
        raise NotImplementedError

    def _weights(self, x: Tensor) -> Tensor:
        if self.fixed is not None:
            return self.fixed
        if self.condition is not None:
            gate = self.gate(self.condition.hidden)
        else:
            gate = self.gate(x, None if self.mask is None else self.layout(self.mask, x.shape[1]))
        mean = gate.flatten(end_dim=-2).mean(dim=0) if gate.ndim > 1 else gate
        if self.training and torch.is_grad_enabled():
            self.last = mean
        self.seen, self.images = self.seen + len(x) * mean.detach(), self.images + len(x)
        return self.gate.scale * gate


class MixedLinear(Mixed):
    """A mixed linear layer, ``[batch, .., d_in]`` to ``[batch, .., d_out]``; what lies between are tokens."""

    base: nn.Linear

    def update(self, x: Tensor) -> Tensor:
        tokens = x.reshape(len(x), -1, x.shape[-1])
        return mix(tokens, self.down, self.up, self._weights(tokens), self.owner).reshape(*x.shape[:-1], -1)

    @property
    def in_features(self) -> int:
        return self.base.in_features

    @property
    def out_features(self) -> int:
        return self.base.out_features


class MixedConv(Mixed):
    """A mixed convolution of stride 1, ``[batch, d_in, height, width]`` to ``[batch, d_out, height, width]``."""

    base: nn.Conv2d

    def update(self, x: Tensor) -> Tensor:
        base = self.base
        rows = F.conv2d(x, self.down, None, base.stride, base.padding, base.dilation)
        gate = self._weights(x.flatten(2).transpose(1, 2)).to(self.owner.dtype) @ self.owner
        places = F.linear(rows.flatten(2).transpose(1, 2) * gate, self.up.flatten(1))
        return places.transpose(1, 2).unflatten(2, rows.shape[2:])
