"""Score images: a folder an aspect, evaluators loaded by name. In: data/images, data/prompts. Out: data/scores."""

from versat2i.rewards.common.base import Reward, Scores, check
from versat2i.rewards.common.registry import catalogue, from_params, load

__all__ = ["Reward", "Scores", "catalogue", "check", "from_params", "load"]
