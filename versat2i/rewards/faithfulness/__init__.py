"""Whether an image shows what its prompt says."""

from versat2i.rewards.faithfulness.scoring import accuracy_by_type, dsg_score, tifa_score

__all__ = ["accuracy_by_type", "dsg_score", "tifa_score"]

EVALUATORS = {
    "tifa": "versat2i.rewards.faithfulness.tifa:Tifa",
    "soft_tifa": "versat2i.rewards.faithfulness.soft_tifa:SoftTifa",
    "dsg": "versat2i.rewards.faithfulness.tifa:Dsg",
    "vqascore": "versat2i.rewards.faithfulness.vqascore:VqaScore",
    "geneval": "versat2i.rewards.faithfulness.geneval:GenEval",
    "clipscore": "versat2i.rewards.faithfulness.clipscore:ClipScore",
    "http": "versat2i.rewards.common.http:Http",
    "levels": "versat2i.rewards.common.levels:Levels",
    "unified_reward": "versat2i.rewards.common.unified_reward:UnifiedReward",
}
