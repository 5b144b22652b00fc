"""How probable it is that an image is safe to show."""

EVALUATORS = {
    "classifier": "versat2i.rewards.safety.classifier:Classifier",
    "open_nsfw": "versat2i.rewards.safety.open_nsfw:OpenNsfw",
    "checker": "versat2i.rewards.safety.checker:Checker",
    "stamp": "versat2i.rewards.safety.stamp:Stamp",
    "http": "versat2i.rewards.common.http:Http",
}
