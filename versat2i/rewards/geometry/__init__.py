"""How right the forms in an image are."""

EVALUATORS = {"regularity": "versat2i.rewards.geometry.regularity:Regularity"}
