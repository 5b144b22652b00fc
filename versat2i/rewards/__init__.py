"""Evaluators: one folder an aspect, loaded by name."""

from versat2i.rewards.common.base import Reward, Scores, check
from versat2i.rewards.common.registry import catalogue, from_params, load

__all__ = ["Reward", "Scores", "catalogue", "check", "from_params", "load"]
