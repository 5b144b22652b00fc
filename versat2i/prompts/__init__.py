"""Prompts and the questions about them."""

from versat2i.prompts.sources import read

__all__ = ["read"]
