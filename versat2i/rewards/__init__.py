"""Score images: a folder an aspect, evaluators loaded by name. In: data/images, data/prompts. Out: data/scores."""

from versat2i.rewards.common.base import Explained, Prompt, Reward, Weights, check, judged
from versat2i.rewards.common.registry import catalogue, from_params, load

__all__ = ["Explained", "Prompt", "Reward", "Weights", "catalogue", "check", "from_params", "judged", "load"]
