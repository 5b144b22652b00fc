"""LoRAs, merges, the gated mixture: algebra and files. In: data/adapters/<name>. Out: a model with them in place."""
