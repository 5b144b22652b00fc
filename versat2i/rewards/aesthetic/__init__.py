"""How pleasing an image is to look at, whatever it shows."""

EVALUATORS = {
    "classical": "versat2i.rewards.aesthetic.classical:Classical",
    "pyiqa:": "versat2i.rewards.common.iqa:Metric",
}
