"""What Chroma alone needs: a mask with one token of padding, before the image's tokens."""

import torch


def test_one_token_of_padding_is_read(flow):
    model = flow("chroma")
    texts = ["a red circle", ""]
    tokens = model.pipe.tokenizer(texts, padding="max_length", max_length=512, return_tensors="pt").attention_mask
    assert model.embed(texts).mask.sum(1).tolist() == (tokens.sum(1) + 1).tolist()


def test_a_call_says_the_texts_mask_before_the_images(flow):
    call = {
        "attention_mask": torch.tensor([[1.0, 0.0, 1.0, 1.0]]),
        "encoder_hidden_states": torch.zeros(1, 2, 40),
    }
    assert flow("chroma")._call_mask(call).tolist() == [[True, False]]
