"""Tokenizers of each kind that vision-language models have, trained on the spot on a few sentences."""

import transformers
from tiny_vision import BOS, EOS, IMAGE, SPECIAL
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SAID = ("Yes", "No", "good", "average", "poor", "high", "medium", "low", "fine", "acceptable", "bad")
SENTENCES = [
    sentence
    for word in SAID
    for sentence in (
        f"USER: Rate the quality of the image. ASSISTANT: {word}",
        f'user\nDoes this figure show "a red circle"? Please answer yes or no.\nassistant\n{word}',
        f"The quality of the image is {word}. Question: Answer: {word}",
    )
] * 4
KINDS = ("unigram", "llama", "byte_level", "word_piece")


def _trained(kind: str) -> Tokenizer:
    unknown = {"unk_token": "[UNK]"}
    known = {"special_tokens": SPECIAL, "show_progress": False, "vocab_size": 500}
    if kind == "word_piece":  # BERT
        made, trainer = Tokenizer(models.WordPiece(**unknown)), trainers.WordPieceTrainer(**known)
        made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    elif kind == "byte_level":  # GPT-2, OPT, Qwen, SmolVLM, Idefics3
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        made, trainer = Tokenizer(models.BPE()), trainers.BpeTrainer(**known, initial_alphabet=alphabet)
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    elif kind == "unigram":  # sentencepiece as in T5
        made, trainer = Tokenizer(models.Unigram()), trainers.UnigramTrainer(**known, **unknown)
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    else:  # sentencepiece as in Llama
        made, trainer = Tokenizer(models.BPE(**unknown)), trainers.BpeTrainer(**known)
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        made.decoder = decoders.Metaspace(prepend_scheme="first")
    made.train_from_iterator(SENTENCES, trainer)
    return made


def tokenizer(kind: str) -> transformers.PreTrainedTokenizerFast:
    """One of `KINDS`, with the special tokens of `tiny_vision` at their places."""
    made = _trained(kind)
    made.post_processor = processors.TemplateProcessing("[BOS] $A", None, [("[BOS]", BOS), ("[EOS]", EOS)])
    made.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        additional_special_tokens=SPECIAL[IMAGE:],
        model_max_length=400,
    )


def ending_last() -> transformers.PreTrainedTokenizerFast:
    """A token a word, ``w1`` to ``w21``; a text begins with 22 and ends with 23, the largest, as in CLIP."""
    vocabulary = {"[PAD]": 0, **{f"w{number}": number for number in range(1, 22)}, "[BOS]": 22, "[EOS]": 23}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing("[BOS] $A [EOS]", None, [("[BOS]", 22), ("[EOS]", 23)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", bos_token="[BOS]", eos_token="[EOS]", model_max_length=12
    )
