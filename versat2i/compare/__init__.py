"""Compare variants on the same prompts and seeds. In: data/evaluation. Out: metrics/, plots/, data/samples.png."""
