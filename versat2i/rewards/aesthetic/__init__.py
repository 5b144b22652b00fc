"""How pleasing an image is to look at, whatever it shows."""

EVALUATORS = {
    "classical": "versat2i.rewards.aesthetic.classical:Classical",
    "laion": "versat2i.rewards.aesthetic.laion:Laion",
    "pyiqa:": "versat2i.rewards.common.iqa:Metric",
    "http": "versat2i.rewards.common.http:Http",
    "levels": "versat2i.rewards.common.levels:Levels",
    "hpsv3": "versat2i.rewards.common.hpsv3:HPSv3",
    "unified_reward": "versat2i.rewards.common.unified_reward:UnifiedReward",
}
