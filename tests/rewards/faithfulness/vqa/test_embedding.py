"""The nearest choice is that of the nearest embedding."""

import numpy as np
import torch
import transformers

from versat2i.rewards.faithfulness import vqa


def test_another_answer_is_the_choice_of_the_nearest_embedding(folder):
    """Cosines of the mean of the last states, one text at a time and without padding."""
    place = folder("sentences")
    model, tokenizer = transformers.AutoModel.from_pretrained(place), transformers.AutoTokenizer.from_pretrained(place)

    def embed(text):
        with torch.no_grad():
            return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)

    answerer = vqa.load(folder("vilt", ["yes", "no"]), embedder=place)
    choices = ["a red circle", "two", "blue square or green", "The quality is poor"]
    for text in ("a dark red circle", "good", "square", "Is there a photo?"):
        cosines = [torch.cosine_similarity(embed(text), embed(choice), 0).item() for choice in choices]
        assert answerer.choice(text, choices) == choices[int(np.argmax(cosines))]
