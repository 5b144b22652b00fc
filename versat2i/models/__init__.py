"""Models that others trained: diffusion models that draw, language and vision models that judge or write."""
