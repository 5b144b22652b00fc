"""Train an expert. In: data/selected/<aspect>. Out: data/adapters/<aspect>."""
