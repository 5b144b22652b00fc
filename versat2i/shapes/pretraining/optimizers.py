"""How the embedded denoiser's weights are updated."""

import torch
from torch import Tensor, nn


def as_matrix(weight: Tensor) -> Tensor:
    """A weight as a matrix on the same memory.

    Args:
        weight: ``[out, in]``, or a kernel ``[out, in, height, width]`` in channels-last memory.

    Returns:
        ``[out, in]`` or ``[out, height * width * in]``.
    """
    return weight.permute(0, 2, 3, 1).view(len(weight), -1) if weight.ndim == 4 else weight


def inner_weights(model: nn.Module) -> list[nn.Parameter]:
    """Matrices and kernels that map features to features: not embeddings, nor the first and last layer."""
    return [
        module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and not name.endswith(("conv_in", "conv_out"))
    ]


class MuonAdamW:
    """Muon for a model's inner weights, AdamW for all others, both at one learning rate.

    Muon (Jordan et al. 2024) steps along the momentum's nearest semi-orthogonal matrix, so that
    rare features grow as fast as common ones: words of shape as fast as those of colour. Its
    updates are scaled to the size of AdamW's (Liu et al. 2025). PyTorch's takes matrices only, so kernels
    are given to it as matrices that share their memory.

    Args:
        model: what is trained; kernels in channels-last memory.
        weight_decay: of both.
    """

    def __init__(self, model: nn.Module, weight_decay: float) -> None:
        self.weights = inner_weights(model)
        self.matrices = [nn.Parameter(as_matrix(weight.detach())) for weight in self.weights]
        inner = {id(weight) for weight in self.weights}
        self.others = [parameter for parameter in model.parameters() if id(parameter) not in inner]
        self.muon = torch.optim.Muon(self.matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        self.adamw = torch.optim.AdamW(self.others, weight_decay=weight_decay, fused=True)

    def step(self, learning_rate: float) -> None:
        """Update the model by its gradients, and drop them."""
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            matrix.grad = None if weight.grad is None else _gradient(weight)
        for optimizer in (self.muon, self.adamw):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()
        for parameter in (*self.weights, *self.others):
            parameter.grad = None

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


def _gradient(weight: Tensor) -> Tensor:
    """A weight's gradient as a matrix, whatever memory autograd laid it out in."""
    return as_matrix(weight.grad.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight.grad)
