"""A vision-language model that is asked about an image: what it says, and how probable each next token is."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import Images, pictures

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = "Question: {} Answer:"  # for models without a chat template, as BLIP-2's authors ask
SHORT = "{}\nAnswer the question using a single word or phrase."  # as LLaVA 1.5 was trained to be asked
LONGEST = 16  # tokens of an answer


class VisionLanguage(weights.Holder):
    """Any model that transformers knows as image-text-to-text: LLaVA, Qwen-VL, InternVL, BLIP-2, ..."""

    kind = "AutoModelForImageTextToText"

    @cached_property
    def _processor(self) -> Any:
        processor = self._weights.load("AutoProcessor")
        processor.tokenizer.padding_side = "left"  # so that every text ends where its answer begins
        return processor

    @property
    def _chats(self) -> bool:
        return bool(getattr(self._processor, "chat_template", None))

    def _prompt(self, text: str, stem: str) -> str:
        """A text as the model was trained to be asked, and the beginning of its answer."""
        if not self._chats:
            prompt = PLAIN.format(text)
        else:
            content = [{"type": "image"}, {"type": "text", "text": text}]
            prompt = self._processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
        gap = " " if stem and not prompt[-1].isspace() else ""
        return prompt + gap + stem

    def _generate(self, images: Images, texts: list[str], stem: str, tokens: int) -> Any:
        """Greedy continuation with the logits of each step, and how many tokens of it are the question."""
        import torch  # heavy

        prompts = [self._prompt(text, stem) for text in texts]
        start = self._processor.tokenizer.bos_token
        inputs = self._processor(
            images=[[picture] for picture in pictures(images)],
            text=prompts,
            padding=True,
            return_tensors="pt",
            add_special_tokens=not (start and prompts[0].startswith(start)),  # the template may hold it already
        ).to(self._model.device, self._model.dtype)
        with torch.inference_mode():
            made = self._model.generate(
                **inputs,
                max_new_tokens=tokens,
                do_sample=False,
                num_beams=1,
                output_logits=True,
                return_dict_in_generate=True,
            )
        return made, 0 if self._model.config.is_encoder_decoder else inputs["input_ids"].shape[1]

    def next_logits(self, images: Images, texts: list[str], stem: str = "") -> "Tensor":
        """Logits of the next token, as the model gives them.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
            texts: what each is asked.
            stem: with what the answer begins.

        Returns:
            ``float32 [batch, vocabulary]``, on the CPU.
        """
        made, _ = self._generate(images, texts, stem, 1)
        return made.logits[0].float().cpu()

    def answers(self, images: Images, questions: list[str]) -> list[str]:
        """What the model says to each question about its image; one that chats is asked to be short."""
        texts = [SHORT.format(question) for question in questions] if self._chats else questions
        made, asked = self._generate(images, texts, "", LONGEST)
        said = self._processor.tokenizer.batch_decode(made.sequences[:, asked:], skip_special_tokens=True)
        return [text.strip() for text in said]

    def first_tokens(self, words: list[str], stem: str = "") -> list[int]:
        """The token with which each word begins an answer, or goes on after a stem.

        Raises:
            ValueError: two words begin with one token, so their probabilities cannot be told apart.
        """
        tokenizer = self._processor.tokenizer

        def encode(text: str) -> list[int]:
            return tokenizer.encode(text, add_special_tokens=False)

        known = len(encode(stem)) if stem else 0
        found = [encode(f"{stem} {word}" if stem else word)[known] for word in words]
        if len(set(found)) < len(words):
            raise ValueError(f"{self._weights}: its tokenizer begins two of {', '.join(words)} with the same token")
        return found
