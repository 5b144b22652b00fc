"""How the embedded model is trained from nothing. In: drawn scenes. Out: shapes/model."""
