"""Choose what an expert learns from. In: data/scores, data/images. Out: data/selected/<aspect>."""
