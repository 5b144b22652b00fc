"""Unite experts. In: data/adapters/<aspect>, data/selected/<aspect>. Out: data/adapters/<merge>."""
