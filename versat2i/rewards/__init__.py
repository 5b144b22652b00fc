"""Evaluators: one folder an aspect, loaded by name."""

from versat2i.rewards.base import Reward, Scores, check
from versat2i.rewards.registry import catalogue, load

__all__ = ["Reward", "Scores", "catalogue", "check", "load"]
