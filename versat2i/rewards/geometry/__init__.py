"""How right the forms in an image are."""

EVALUATORS = {
    "regularity": "versat2i.rewards.geometry.regularity:Regularity",
    "projective": "versat2i.rewards.geometry.projective:Projective",
    "lines": "versat2i.rewards.geometry.lines:Lines",
    "unified_reward": "versat2i.rewards.common.unified_reward:UnifiedReward",
}
