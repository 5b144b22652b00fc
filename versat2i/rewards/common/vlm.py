"""A vision-language model that is asked about an image: what it says, and how probable each next token is."""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import Images, pictures

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = "Question: {} Answer:"  # for models without a chat template, as BLIP-2's authors ask
SHORT = "{}\nAnswer the question using a single word or phrase."  # as LLaVA 1.5 was trained to be asked
LONGEST = 16  # tokens of an answer

# What LLaVA 1.5 was trained to read first; its chat template on the hub leaves it out. Its authors' code has two
# wordings: `vicuna_v1` (VQAScore, benchmarks of question answering) and `llava_v1` (Q-Bench, Q-Instruct).
_SYSTEM = (
    "A chat between a curious {0} and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the {0}'s questions."
)
VICUNA_V1, LLAVA_V1 = _SYSTEM.format("user"), _SYSTEM.format("human")


class Asked(NamedTuple):
    """What an evaluator asks of a model whose first token it reads.

    Attributes:
        text: the question.
        stem: with what the answer begins.
        words: the answers, of which the first tokens' probabilities are read.
        spelled: whether tokens are read with a blank before a word and without, wherever it stands.
    """

    text: str
    stem: str
    words: list[str]
    spelled: bool = False


@runtime_checkable
class Asks(Protocol):
    """An evaluator that reads the first token of the answer of its `model`, or of a model that is `served`."""

    name: str

    def asks(self, prompt: str) -> Asked:
        """Return what is asked about the image of a prompt."""
        ...


class VisionLanguage(weights.Holder):
    """Any model that transformers knows as image-text-to-text: LLaVA, Qwen-VL, InternVL, BLIP-2, ..."""

    kind = "AutoModelForImageTextToText"

    def __init__(
        self,
        model: str,
        dtype: str,
        trust_remote_code: bool = False,
        system: str | None = None,
        system_of_llava: str = VICUNA_V1,
        plain: str = PLAIN,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            model: a folder, or ``repository@revision``.
            dtype: float32, float16 or bfloat16.
            trust_remote_code: whether code that comes with the model may be run.
            system: what the chat begins with, before the question; "" for nothing. None: `system_of_llava` where
                the model is a LLaVA 1.5, else nothing but what the model's own template has.
            system_of_llava: one of its two wordings.
            plain: how a question is put to a model without a chat template.
            device: to compute on.
        """
        super().__init__(model, dtype, trust_remote_code, device)
        self._told, self._system_of_llava, self._plain = system, system_of_llava, plain

    @cached_property
    def _processor(self) -> Any:
        processor = self.weights.load("AutoProcessor")
        processor.tokenizer.padding_side = "left"  # so that every text ends where its answer begins
        return processor

    @property
    def chats(self) -> bool:
        return bool(getattr(self._processor, "chat_template", None))

    @property
    def is_llava(self) -> bool:
        """Whether this is a LLaVA 1.5, which chats as Vicuna v1 does."""
        if not self.chats or type(self._processor).__name__ != "LlavaProcessor":
            return False
        asked = self._rendered("", None)
        return asked.startswith("USER:") and asked.endswith("ASSISTANT:")

    @property
    def lacks_system(self) -> bool:
        """Whether it is a LLaVA that chats as Vicuna does, and is not told what it was trained to read first."""
        asked = self._question("")
        return self._model.config.model_type == "llava" and "USER:" in asked and not asked.startswith(_SYSTEM[:14])

    @property
    def encodes(self) -> bool:
        """Whether an encoder reads the question, so that the decoder's text is the answer alone."""
        return bool(self._model.config.is_encoder_decoder)

    @cached_property
    def _system(self) -> str:
        if self._told is not None:
            return self._told
        return self._system_of_llava if self.is_llava else ""

    def _rendered(self, text: str, system: str | None, answer: str | None = None) -> str:
        """A question in the model's chat template, up to where the answer begins, or with an answer."""
        said = {"system": system, "user": text, "assistant": answer}
        content = {role: [{"type": "text", "text": words}] for role, words in said.items() if words or role == "user"}
        content["user"] = [{"type": "image"}, {"type": "text", "text": text}]
        turns = [{"role": role, "content": parts} for role, parts in content.items()]
        return self._processor.apply_chat_template(turns, add_generation_prompt=answer is None)

    def _question(self, text: str) -> str:
        """A text as the model was trained to be asked, up to where its answer begins."""
        return self._rendered(text, self._system) if self.chats else self._plain.format(text)

    def _gap(self, text: str, question: str, answer: str) -> str:
        """Text between a question and its answer: from the chat template, else a blank after a word.

        Raises:
            ValueError: the template puts words there, so the next token would not be the answer's.
        """
        from jinja2 import TemplateError

        try:
            whole = self._rendered(text, self._system, answer) if self.chats else ""
        except (TemplateError, TypeError, KeyError):  # of a template that takes no answer
            whole = ""
        before, found, _ = whole.removeprefix(question).partition(answer)
        if not found or not whole.startswith(question):
            return "" if question[-1].isspace() else " "
        if before.strip():
            raise ValueError(
                f"{self.weights}: its chat template puts {before.strip()!r} before an answer, so the answer is not "
                "what comes next. Give the answer's beginning as `stem` where there is one, or name another model"
            )
        return before

    def _prompt(self, text: str, stem: str) -> str:
        """A text as the model was trained to be asked, and the beginning of its answer."""
        question = self._question(text)
        gap = " " if stem and not question[-1].isspace() else ""
        return question + gap + stem

    def _generate(
        self, images: Images, texts: list[str], stem: str, tokens: int, forced: Iterable[int] | None = None
    ) -> Any:
        """Greedy continuation with the logits of each step, and how many tokens of it are the question.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
            texts: what each is asked.
            stem: with what the answer begins.
            tokens: at most, of the answer.
            forced: what is said in place of the most probable tokens; the logits stay the model's own.
        """
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
                logits_processor=None if forced is None else [_forcing(forced)],
            )
        return made, 0 if self.encodes else inputs["input_ids"].shape[1]

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

    def log_probabilities(self, images: Images, texts: list[str], answer: list[int]) -> "Tensor":
        """``log P(a_i | image, text, a_1 ... a_{i-1})`` of each token of an answer.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
            texts: what each is asked.
            answer: its tokens.

        Returns:
            ``float64 [batch, tokens]``, on the CPU.
        """
        import torch  # heavy

        made, _ = self._generate(images, texts, "", len(answer), forced=answer)
        steps = [logits.double().log_softmax(-1)[:, token] for logits, token in zip(made.logits, answer, strict=True)]
        return torch.stack(steps, 1).cpu()

    def answers(self, images: Images, questions: list[str]) -> list[str]:
        """Answer each question about its image; a chat model is asked for a single word or phrase."""
        texts = [SHORT.format(question) for question in questions] if self.chats else questions
        return self.replies(images, texts, LONGEST)

    def replies(self, images: Images, texts: list[str], tokens: int) -> list[str]:
        """The most probable reply to each text about its image, of at most so many tokens."""
        made, asked = self._generate(images, texts, "", tokens)
        said = self._processor.tokenizer.batch_decode(made.sequences[:, asked:], skip_special_tokens=True)
        return [text.strip() for text in said]

    @property
    def end(self) -> int:
        """The token that ends an answer.

        Raises:
            ValueError: the tokenizer names none.
        """
        token = self._processor.tokenizer.eos_token_id
        if token is None:
            raise ValueError(f"{self.weights}: its tokenizer names no token that ends an answer. Say `end: false`")
        return int(token)

    def answer_tokens(self, word: str, text: str, stem: str = "") -> list[int]:
        """The tokens of an answer where it stands: those by which question and answer are longer than the question.

        Whether a word has a blank before it decides which token it is. An encoder-decoder says the answer alone.

        Args:
            word: the answer, e.g. ``"Yes"``.
            text: what is asked.
            stem: with what the answer begins.

        Raises:
            ValueError: its tokenizer joins the end of the question and the answer, or has no token for the word.
        """
        tokenizer = self._processor.tokenizer

        def encode(words: str) -> list[int]:
            return tokenizer.encode(words, add_special_tokens=False)

        if self.encodes:
            found = encode(word)
        else:
            begun = self._prompt(text, stem)
            joined = begun + (" " if stem else self._gap(text, begun, word)) + word
            asked, whole = encode(begun), encode(joined)
            found = whole[len(asked) :]
            if whole[: len(asked)] != asked or not found:
                raise ValueError(
                    f"{self.weights}: its tokenizer splits {joined[-30:]!r} otherwise than {begun[-20:]!r} and what "
                    f"follows, so {word!r} is not a next token. Name another model, or begin the answer with a stem"
                )
        if found[0] == tokenizer.unk_token_id or not tokenizer.decode(found[:1]).strip():
            raise ValueError(
                f"{self.weights}: its tokenizer has no token that begins {word!r} (it begins with "
                f"{tokenizer.convert_ids_to_tokens(found[0])!r}). Name another model"
            )
        return found

    def first_tokens(self, words: list[str], text: str, stem: str = "") -> list[int]:
        """The token with which each word begins an answer, or goes on after a stem; see `answer_tokens`.

        Raises:
            ValueError: as `answer_tokens`, or two words begin with one token: their probabilities cannot be told apart.
        """
        found = [self.answer_tokens(word, text, stem)[0] for word in words]
        if len(set(found)) < len(words):
            raise ValueError(f"{self.weights}: its tokenizer begins two of {', '.join(words)} with the same token")
        return found

    def spellings(self, words: list[str]) -> list[int]:
        """The tokens with which some words begin, with a blank before them or without, wherever they stand.

        Raises:
            ValueError: the tokenizer has none for any of them.
        """
        tokenizer = self._processor.tokenizer
        found = set()
        for word in words:
            first = {tokenizer.encode(f"{gap}{word}", add_special_tokens=False)[0] for gap in ("", " ")}
            first.add(tokenizer.convert_tokens_to_ids(word))
            found |= {token for token in first if _begins(word, self.spelled(token).strip(), tokenizer.unk_token)}
        if not found:
            raise ValueError(f"{self.weights}: its tokenizer has no token that begins {' or '.join(words)}")
        return sorted(found)

    def spelled(self, token: int) -> str:
        """A token as text."""
        return str(self._processor.tokenizer.decode([token]))


def _begins(word: str, piece: str, unknown: str | None) -> bool:
    return bool(piece) and piece != unknown and word.lower().startswith(piece.lower())


def _forcing(tokens: Iterable[int]) -> Any:
    """A processor of logits that leaves one token a step to be chosen."""
    from transformers import LogitsProcessor  # heavy

    left = iter(tokens)

    class Forcing(LogitsProcessor):
        def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
            forced = scores.new_full(scores.shape, -float("inf"))
            forced[:, next(left)] = 0.0
            return forced

    return Forcing()
