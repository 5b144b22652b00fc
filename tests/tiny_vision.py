"""Random models that look at images, of the real classes and built from configs, saved as a hub would give them."""

from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = """
    Yes yes No no good high fine average medium acceptable poor low bad red blue green dark a circle square two
    Rate the quality of image The is Does this figure show Please answer or question using single word phrase
    A photo depicts What color Is there Answer Question USER ASSISTANT : ? . , " '
""".split()  # noqa: SIM905
SPECIAL = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", "<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>"]
PAD, UNK, BOS, EOS, IMAGE, QWEN_IMAGE, QWEN_VIDEO, QWEN_START = range(len(SPECIAL))
VOCABULARY = len(SPECIAL) + len(WORDS)
TEMPLATE = (  # of LLaVA 1.5, with a blank behind the image
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'] | upper }}: {% endif %}"
    "{% for part in message['content'] %}{{ part['text'] if part['type'] == 'text' else '<image>' }} {% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
VISION = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
TEXT = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LOUD = {"initializer_range": 0.6}  # weights large enough that images and texts make a difference
IDS = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}


def tokenizer(template: str) -> transformers.PreTrainedTokenizerFast:
    """One token a word; `template` says what stands around a text."""
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    inner.post_processor = processors.TemplateProcessing(template, None, [("[BOS]", BOS), ("[EOS]", EOS)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        additional_special_tokens=SPECIAL[IMAGE:],
        model_max_length=60,
    )


def _image_processor() -> transformers.CLIPImageProcessor:
    return transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})


def _save(folder: Path, build, processor=None, seed: int = 0) -> str:
    """Save a model made from a seed, and its processor beside it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
    model.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return str(folder)


def clip(folder: Path) -> str:
    config = transformers.CLIPConfig(
        text_config=TEXT | IDS | LOUD | {"max_position_embeddings": 60},
        vision_config=VISION | LOUD,
        projection_dim=6,
        initializer_factor=10.0,
    )
    processor = transformers.CLIPProcessor(_image_processor(), tokenizer("[BOS] $A [EOS]"))
    return _save(folder, lambda: transformers.CLIPModel(config), processor, seed=4)  # cosines of both signs


def llava(folder: Path, words: transformers.PreTrainedTokenizerFast | None = None, template: str = TEMPLATE) -> str:
    """A LLaVA that reads by `tokenizer`, or by one of a test's own that has the same special tokens."""
    words = words or tokenizer("[BOS] $A")
    sizes = IDS | {"vocab_size": len(words)}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION, **LOUD),
        text_config=transformers.LlamaConfig(**TEXT, **sizes, **LOUD, max_position_embeddings=400),
        image_token_index=IMAGE,
        image_seq_length=4,
    )
    processor = transformers.LlavaProcessor(
        _image_processor(),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return _save(folder, lambda: transformers.LlavaForConditionalGeneration(config), processor)


def qwen(folder: Path) -> str:
    """With a grid of patches and positions in three dimensions."""
    text = TEXT | IDS | LOUD | {"hidden_size": 16, "num_key_value_heads": 1, "max_position_embeddings": 200}
    config = transformers.Qwen2VLConfig(
        text_config=text | {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}},
        vision_config={"depth": 2, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "patch_size": 4} | LOUD,
        image_token_id=QWEN_IMAGE,
        video_token_id=QWEN_VIDEO,
        vision_start_token_id=QWEN_START,
    )
    processor = transformers.Qwen2VLProcessor(
        transformers.Qwen2VLImageProcessor(patch_size=4, size={"shortest_edge": 64, "longest_edge": 400}),
        tokenizer("$A"),
        transformers.Qwen2VLVideoProcessor(patch_size=4),
        chat_template=TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|>"),
    )
    return _save(folder, lambda: transformers.Qwen2VLForConditionalGeneration(config), processor)


def blip2(folder: Path) -> str:
    """With an encoder-decoder behind it, and no chat template."""
    language = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2, initializer_factor=5.0,
        pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD,
    )  # fmt: skip
    config = transformers.Blip2Config(
        vision_config=transformers.Blip2VisionConfig(**VISION, **LOUD),
        qformer_config=transformers.Blip2QFormerConfig(**TEXT, **LOUD, vocab_size=VOCABULARY),
        text_config=language,
        num_query_tokens=3,
        image_token_index=IMAGE,
    )
    processor = transformers.Blip2Processor(_image_processor(), tokenizer("$A [EOS]"), num_query_tokens=3)
    return _save(folder, lambda: transformers.Blip2ForConditionalGeneration(config), processor)


def blip2_opt(folder: Path, words: transformers.PreTrainedTokenizerFast) -> str:
    """With a decoder behind it that reads by a tokenizer of a test's own, and no chat template."""
    language = transformers.OPTConfig(
        vocab_size=len(words), hidden_size=8, ffn_dim=16, num_hidden_layers=2, num_attention_heads=2,
        word_embed_proj_dim=8, max_position_embeddings=400, init_std=0.6, pad_token_id=PAD, bos_token_id=BOS,
        eos_token_id=EOS,
    )  # fmt: skip
    config = transformers.Blip2Config(
        vision_config=transformers.Blip2VisionConfig(**VISION, **LOUD),
        qformer_config=transformers.Blip2QFormerConfig(**TEXT, **LOUD, vocab_size=VOCABULARY),
        text_config=language,
        num_query_tokens=3,
        image_token_index=IMAGE,
    )
    processor = transformers.Blip2Processor(_image_processor(), words, num_query_tokens=3)
    return _save(folder, lambda: transformers.Blip2ForConditionalGeneration(config), processor)


def blip(folder: Path, kind: str = "BlipForQuestionAnswering") -> str:
    config = transformers.BlipConfig(
        text_config=TEXT | IDS | LOUD | {"sep_token_id": EOS, "max_position_embeddings": 60, "encoder_hidden_size": 8},
        vision_config=VISION | LOUD,
        projection_dim=6,
        image_text_hidden_size=6,
    )
    processor = transformers.BlipProcessor(
        transformers.BlipImageProcessor(size={"height": 16, "width": 16}), tokenizer("[BOS] $A [EOS]")
    )
    return _save(folder, lambda: getattr(transformers, kind)(config), processor)


def vilt(folder: Path, labels: list[str]) -> str:
    config = transformers.ViltConfig(
        **TEXT, **LOUD, vocab_size=VOCABULARY, image_size=32, patch_size=8, id2label=dict(enumerate(labels))
    )
    pictures = transformers.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8)
    processor = transformers.ViltProcessor(pictures, tokenizer("[BOS] $A [EOS]"))
    return _save(folder, lambda: transformers.ViltForQuestionAnswering(config), processor)


def sentences(folder: Path) -> str:
    config = transformers.BertConfig(**TEXT, **LOUD, vocab_size=VOCABULARY, pad_token_id=PAD)
    return _save(folder, lambda: transformers.BertModel(config, add_pooling_layer=False), tokenizer("[BOS] $A [EOS]"))


def of_red(share: float) -> np.ndarray:
    """Blue noise that turns red, ``uint8 [16, 16, 3]``."""
    noise = np.random.default_rng(1).integers(0, 60, (16, 16, 3))
    return (noise + share * np.array([180, 0, 0]) + (1 - share) * np.array([0, 0, 180])).astype(np.uint8)


def seer(folder: Path, problem: str | None = None) -> str:
    """A random classifier whose head is fitted to `of_red`: red is ``nsfw``, blue ``normal``, a third label neither."""
    labels = {0: "normal", 1: "nsfw", 2: "drawing"}
    numbers = {label: number for number, label in labels.items()}
    config = transformers.ViTConfig(**VISION, id2label=labels, label2id=numbers, problem_type=problem)
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16})

    def build() -> transformers.ViTForImageClassification:
        model = transformers.ViTForImageClassification(config).eval()
        shares = torch.linspace(0.0, 1.0, 33)
        pixels = processor([of_red(float(share)) for share in shares], return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            seen = model.vit(pixels).last_hidden_state[:, 0]
            level = 3 * (2 * shares - 1)  # that the head is fitted to: -3 for blue, 3 for red
            fitted = torch.linalg.lstsq(torch.cat([seen, torch.ones(33, 1)], 1), level[:, None]).solution[:, 0]
            model.classifier.weight.copy_(torch.stack([-fitted[:-1], fitted[:-1], 0 * fitted[:-1]]))
            model.classifier.bias.copy_(torch.stack([-fitted[-1], fitted[-1], torch.tensor(-1.0)]))
        return model

    return _save(folder, build, processor)
