"""What gates of scope `time` and `prompt` look at: one vector an image, the same in every layer.

    time:    h = the denoiser's own embedding of the timestep, ``[batch, 1, d_time]``
    prompt:  h = mean over the text's tokens, without padding, of its embeddings, ``[batch, 1, d_text]``

Both are noted in each call of the denoiser, so that gates see in training what they see in a pipeline.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from versat2i.formats.recipe import Scope

EMBEDDERS = ("timestep_embedder", "time_embedding", "t_embedder", "time_embed", "time_proj")
"""How denoisers call their embedding of the timestep; the last, without weights, is for those that have no other."""
TEXTS = ("encoder_hidden_states", "cap_feats")  # how their `forward` calls the text's embeddings
WIDTHS = (  # how their configs call the width of the text's embeddings
    *("encoder_hid_dim", "caption_channels", "joint_attention_dim", "cap_feat_dim", "text_hidden_dim"),
    "cross_attention_dim",
)


def pool(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the tokens that are not padding, ``[batch, 1, d]``.

    Args:
        hidden: ``[batch, tokens, d]``.
        mask: True where a token is not padding, ``[batch, tokens]``; None: there is no padding.

    Raises:
        ValueError: the mask is that of other embeddings.
    """
    if mask is None:
        return hidden.mean(dim=1, keepdim=True)
    if mask.shape != hidden.shape[:2]:
        raise ValueError(
            f"the mask of the text is {list(mask.shape)}, its embeddings are {list(hidden.shape[:2])}: expected is the "
            "mask of these very embeddings, [batch, tokens], with guidance those of the empty prompts too"
        )
    kept = mask.to(hidden)[..., None]
    return (hidden * kept).sum(dim=1, keepdim=True) / kept.sum(dim=1, keepdim=True).clamp(min=1)


class Condition:
    """A vector an image of the denoiser's last call.

    It stays until the next call: with gradient checkpointing the backward pass, which runs the layers again, belongs
    before that.

    Attributes:
        width: d, of the vector.
        mask: True where a token of the text is not padding, ``[batch, tokens]``; None: there is no padding.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.mask: Tensor | None = None
        self._hidden: Tensor | None = None
        self._handle: RemovableHandle | None = None

    @property
    def hidden(self) -> Tensor:
        """``[batch, 1, d]``.

        Raises:
            ValueError: the denoiser has not been called.
        """
        if self._hidden is None:
            raise ValueError("a gate of scope time or prompt follows the denoiser's calls: call the denoiser itself")
        return self._hidden

    def note(self, hidden: Tensor) -> None:
        """Take this for the vectors of a call, ``[batch, .., d]`` with ones in between."""
        self._hidden = hidden.detach().reshape(len(hidden), 1, self.width)

    def forget(self) -> None:
        """No longer follow the denoiser."""
        if self._handle is not None:
            self._handle.remove()


def of(denoiser: nn.Module, scope: Scope) -> Condition | None:
    """Follow a denoiser's calls, if gates of that scope look at them.

    Raises:
        ValueError: this denoiser does not say its timestep or text in a way that is known here.
    """
    followed = {"time": _time, "prompt": _prompt}.get(scope)
    return None if followed is None else followed(denoiser)


def _time(denoiser: nn.Module) -> Condition:
    """The embedding of the timestep, as its own layers in the denoiser give it."""
    named = [
        (EMBEDDERS.index(name.rpartition(".")[2]), name)
        for name, _ in denoiser.named_modules()
        if name.rpartition(".")[2] in EMBEDDERS
    ]
    if not named:
        raise ValueError(
            f"scope: time; this {type(denoiser).__name__} has no embedding of the timestep that is known here "
            f"({', '.join(EMBEDDERS)}). Take scope: layer, token, image or prompt"
        )
    embedder = denoiser.get_submodule(min(named)[1])
    widths = [module.out_features for module in embedder.modules() if isinstance(module, nn.Linear)]
    condition = Condition(widths[-1] if widths else int(embedder.num_channels))

    @torch.compiler.disable
    def noted(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        condition.note(output)

    condition._handle = embedder.register_forward_hook(noted)
    return condition


def _prompt(denoiser: nn.Module) -> Condition:
    """The pooled embeddings of the text that the denoiser is told."""
    signature = inspect.signature(denoiser.forward)
    name = next((name for name in TEXTS if name in signature.parameters), None)
    config: Any = getattr(denoiser, "config", {})
    width = next((config[key] for key in WIDTHS if isinstance(config.get(key), int)), None)
    if name is None or width is None:
        raise ValueError(
            f"scope: prompt; this {type(denoiser).__name__} is not told the text in a way that is known here. Take "
            "scope: layer, token, image or time"
        )
    condition = Condition(width)

    @torch.compiler.disable
    def noted(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        condition.note(_pooled(signature.bind(*args, **kwargs).arguments[name], condition.mask))

    condition._handle = denoiser.register_forward_pre_hook(noted, with_kwargs=True)
    return condition


def _pooled(texts: Tensor | list[Tensor], mask: Tensor | None) -> Tensor:
    """One vector a text, ``[batch, 1, d]``: of a padded batch, of texts of their own lengths, or of several layers."""
    if not isinstance(texts, Tensor):  # without padding, so there is nothing to mask
        return torch.stack([text.float().mean(dim=0, keepdim=True) for text in texts])
    hidden = texts.float()
    return pool(hidden.mean(dim=2) if hidden.ndim == 4 else hidden, mask)
