"""A frozen diffusers pipeline and the few things in which model families differ, one module a family."""

from versat2i.models.diffusion.base import Backbone, words
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.loading import FAMILIES, identity, load

__all__ = ["FAMILIES", "Backbone", "Embeddings", "identity", "load", "words"]
