"""How far an image is from images that it must not copy, and from the others of its prompt."""

EVALUATORS = {
    "nearest": "versat2i.rewards.originality.nearest:Nearest",
    "siblings": "versat2i.rewards.originality.siblings:Siblings",
}
