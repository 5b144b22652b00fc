"""Judges: evaluators never used for selection, so that no expert can have learned to please them."""

EVALUATORS = {
    "second_reader": "versat2i.rewards.judges.second_reader:SecondReader",
    "piqe": "versat2i.rewards.judges.piqe:Piqe",
    "pickscore": "versat2i.rewards.judges.preference:PickScore",
    "hpsv2": "versat2i.rewards.judges.preference:HPSv2",
    "hpsv3": "versat2i.rewards.common.hpsv3:HPSv3",
    "image_reward": "versat2i.rewards.judges.image_reward:ImageReward",
    "pyiqa:": "versat2i.rewards.common.iqa:Metric",
    "nearest": "versat2i.rewards.originality.nearest:Nearest",
    "vendi": "versat2i.rewards.originality.siblings:Vendi",
    "ocr": "versat2i.rewards.text.ocr:Ocr",
    "classifier": "versat2i.rewards.safety.classifier:Classifier",
    "open_nsfw": "versat2i.rewards.safety.open_nsfw:OpenNsfw",
    "stamp": "versat2i.rewards.safety.stamp:Stamp",
    "http": "versat2i.rewards.common.http:Http",
    "levels": "versat2i.rewards.common.levels:Levels",
    "unified_reward": "versat2i.rewards.common.unified_reward:UnifiedReward",
}
