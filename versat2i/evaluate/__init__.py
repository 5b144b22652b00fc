"""Score a variant's images. In: data/evaluation/<variant>/images. Out: its scores and diversity."""
