"""Collect prompts and their questions. In: files, a grammar, language models. Out: data/prompts, data/questions."""

from versat2i.prompts.sources import read

__all__ = ["read"]
