"""Draw candidates. In: data/prompts. Out: data/images, tar shards with an index."""
