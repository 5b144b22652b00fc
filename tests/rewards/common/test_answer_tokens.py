"""The token with which an answer begins depends on what stands before it: here, by tokenizers of each kind."""

import numpy as np
import pandas as pd
import pytest
import tiny_vision
import tiny_words
from scored import scored

from versat2i import rewards
from versat2i.rewards.common.vlm import VisionLanguage

BEFORE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
)
AFTER_A_COLON = BEFORE + "{% if add_generation_prompt %}Assistant:{% endif %}"  # SmolVLM, Idefics3
ON_ITS_LINE = BEFORE.replace(": ", "\n") + "{% if add_generation_prompt %}Assistant\n{% endif %}"  # Qwen
TIGHT = BEFORE.replace(": ", ":") + "{% if add_generation_prompt %}Assistant:{% endif %}"  # Pixtral has such a one
NO_ANSWERS = AFTER_A_COLON.replace(
    "{% for message in messages %}",
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ raise_exception('no') }}{% endif %}",
)
THINKS = AFTER_A_COLON.replace(
    "{{ part['text'] }}", "{% if message['role'] == 'assistant' %}<think></think> {% endif %}{{ part['text'] }}"
)
BLANK_BEHIND = NO_ANSWERS.replace("Assistant:", "Assistant: ")
TEMPLATES = (AFTER_A_COLON, ON_ITS_LINE, TIGHT, NO_ANSWERS, THINKS, BLANK_BEHIND, tiny_vision.TEMPLATE)


@pytest.fixture(scope="module")
def asker(tmp_path_factory):
    """``asker(kind, template)``: a random LLaVA that reads by a tokenizer of that kind."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def build(kind, template):
        key = f"{kind}{TEMPLATES.index(template)}"
        if key not in made:
            made[key] = tiny_vision.llava(root / key, tiny_words.tokenizer(kind), template)
        return made[key]

    return build


def pieces(model, words, text="a question", stem=""):
    """The tokens, as their vocabulary spells them."""
    return model._processor.tokenizer.convert_ids_to_tokens(model.first_tokens(words, text, stem))


@pytest.mark.parametrize("template", [AFTER_A_COLON, NO_ANSWERS, tiny_vision.TEMPLATE], ids=["as", "none", "llava"])
@pytest.mark.parametrize("kind, blank", [("unigram", "▁"), ("llama", "▁"), ("byte_level", "Ġ"), ("word_piece", "")])
def test_after_a_colon_an_answer_begins_with_a_blank(asker, kind, blank, template):
    model = VisionLanguage(asker(kind, template), "float32")
    assert pieces(model, ["Yes", "No"]) == [f"{blank}Yes", f"{blank}No"]


@pytest.mark.parametrize("kind", tiny_words.KINDS)
def test_on_a_line_of_its_own_it_does_not(asker, kind):
    assert pieces(VisionLanguage(asker(kind, ON_ITS_LINE), "float32"), ["Yes", "No"]) == ["Yes", "No"]


@pytest.mark.parametrize("kind", ["llama", "byte_level", "word_piece"])
def test_where_the_template_joins_an_answer_to_the_colon_it_does_not_either(asker, kind):
    assert pieces(VisionLanguage(asker(kind, TIGHT), "float32"), ["Yes", "No"]) == ["Yes", "No"]


@pytest.mark.parametrize("kind, blank", [("unigram", "▁"), ("llama", "▁"), ("byte_level", "Ġ"), ("word_piece", "")])
def test_a_word_goes_on_after_a_stem(asker, kind, blank):
    for template in (AFTER_A_COLON, ON_ITS_LINE, THINKS):
        model = VisionLanguage(asker(kind, template), "float32")
        found = pieces(model, ["good", "average", "poor"], stem="The quality of the image is")
        assert found == [f"{blank}{word}" for word in ("good", "average", "poor")]


def test_a_question_and_an_answer_that_grow_together_are_refused_in_one_line(asker):
    """Byte-level BPE has one token for the blank alone, and another for the blank with the word."""
    model = VisionLanguage(asker("byte_level", BLANK_BEHIND), "float32")
    with pytest.raises(ValueError, match=r"splits '.*Assistant: Yes' otherwise than '.*Assistant: '") as error:
        model.first_tokens(["Yes"], "a question")
    assert "\n" not in str(error.value)


def test_a_template_that_lets_the_model_think_first_is_refused_in_one_line(asker):
    model = VisionLanguage(asker("byte_level", THINKS), "float32")
    with pytest.raises(ValueError, match=r"puts '<think></think>' before an answer") as error:
        model.first_tokens(["Yes"], "a question")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind, token", [("unigram", "'▁'"), ("llama", "'▁'"), ("word_piece", r"'\[UNK\]'")])
def test_a_word_without_a_token_is_refused_in_one_line(asker, kind, token):
    model = VisionLanguage(asker(kind, AFTER_A_COLON), "float32")
    with pytest.raises(ValueError, match=rf"no token that begins '灯' \(it begins with {token}\)"):
        model.first_tokens(["灯"], "a question")


@pytest.mark.parametrize("template", [AFTER_A_COLON, ON_ITS_LINE], ids=["colon", "line"])
@pytest.mark.parametrize("kind", tiny_words.KINDS)
def test_a_model_that_is_sure_of_yes_gets_one(asker, kind, template):
    """The head says the token that stands there in the whole text, found by the tokenizer alone."""
    reward = rewards.load("faithfulness", "vqascore", model=asker(kind, template), end=False)
    expect_certainty(reward, "Assistant: Yes" if template == AFTER_A_COLON else "Assistant\nYes")


def test_a_blip2_with_a_decoder_that_is_sure_of_yes_gets_one(tmp_path):
    folder = tiny_vision.blip2_opt(tmp_path / "blip2", tiny_words.tokenizer("byte_level"))
    reward = rewards.load("faithfulness", "vqascore", model=folder)
    assert pieces(reward.model, ["Yes", "No"]) == ["ĠYes", "ĠNo"]
    expect_certainty(reward, "Answer: Yes")


def expect_certainty(reward, text):
    """The score is 1 once the last token of a text has all the probability."""
    yes = reward.model._processor.tokenizer.encode(text, add_special_tokens=False)[-1]

    def sure(module, inputs, logits):
        logits[..., yes] += 1e4
        return logits

    model = reward.model._model
    (model.get_output_embeddings() or model.language_model.get_output_embeddings()).register_forward_hook(sure)
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    prompts = pd.DataFrame({"prompt_id": ["a", "b"], "text": ["a red circle", "two"]})
    np.testing.assert_allclose(scored(reward, images, prompts).values, 1.0)
