"""LoRAs, merges and the gated mixture: their algebra, their files, and how a model takes them."""
