"""How clean an image is as a signal: noise, blur, whatever it shows."""

EVALUATORS = {
    "classical": "versat2i.rewards.low_level.classical:Classical",
    "q_instruct": "versat2i.rewards.low_level.q_instruct:QInstruct",
    "pyiqa:": "versat2i.rewards.common.iqa:Metric",
    "http": "versat2i.rewards.common.http:Http",
    "levels": "versat2i.rewards.common.levels:Levels",
}
