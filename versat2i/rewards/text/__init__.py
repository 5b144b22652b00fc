"""Whether an image shows the words that its prompt puts in quotation marks."""

EVALUATORS = {
    "ocr": "versat2i.rewards.text.ocr:Ocr",
    "http": "versat2i.rewards.common.http:Http",
}
