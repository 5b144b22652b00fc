"""The section `prompts`: where prompts and their questions come from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from versat2i.settings.sections import Positive, Section, Seed, Share

Format = Literal["auto", "txt", "csv", "tsv", "json", "jsonl", "parquet"]


class LanguageModel(Section):
    """A language model that follows instructions, and how it is asked."""

    model: str  # a folder, or repository@revision
    dtype: Literal["float32", "float16", "bfloat16"]
    batch_size: Positive  # requests at once
    tokens: Positive  # of a reply, at most
    template: str  # the file with the instructions
    trust_remote_code: bool = False  # whether code that comes with the model may be run


class Written(LanguageModel):
    """Prompts that it writes."""

    amount: Positive
    examples: str  # a file of prompts of the kind that is wanted
    shown: Positive  # examples in a request
    per_request: Positive  # prompts that a request asks for
    temperature: Annotated[float, Field(gt=0)]
    most_alike: Share  # ROUGE-L above which two prompts are near-duplicates
    patience: Positive  # batches in a row that may give nothing new
    seed: Seed


class Asked(LanguageModel):
    """Questions that it asks about prompts."""

    check: str  # the file with the instructions to answer one from the prompt alone


class Classified(Section):
    """A classifier of texts, and how probable unsafe labels may be."""

    model: str  # a folder, or repository@revision
    unsafe: Annotated[list[str], Field(min_length=1)]  # labels of what is not safe, as its config has them
    most: Annotated[float, Field(ge=0, lt=1)]  # probability of them all together that a prompt may have
    dtype: Literal["float32", "float16", "bfloat16"]
    batch_size: Positive
    trust_remote_code: bool = False  # whether code that comes with the model may be run


class Refuse(Section):
    """Which prompts of a source are left out."""

    words: str | None = None  # a file of words and phrases, one a line
    classifier: Classified | None = None

    @model_validator(mode="after")
    def _something(self) -> "Refuse":
        if self.words is None and self.classifier is None:
            raise ValueError("give 'words' (a file), 'classifier' or both")
        return self


class Source(Section):
    """Where prompts come from: the shapes grammar, a file, which may have questions, or a language model.

    Those of a file or a model may get questions from elsewhere.
    """

    grammar: Positive | None = None  # how many prompts to draw
    held_out: Share | None = None  # share of them with a held-out combination
    seed: Seed | None = None
    file: str | None = None
    format: Format = "auto"  # how the file is written, where neither its content nor its ending says it
    questions: str | None = None  # about the file's prompts: "grammar" asks as about its own, else a file of them
    written: Written | None = None
    asked: Asked | None = None  # questions about a file's or a model's prompts
    refuse: Refuse | None = None  # prompts of a file or a model that are left out

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if [self.grammar, self.file, self.written].count(None) != 2:
            raise ValueError("give either 'grammar: N', 'file: PATH' or 'written: {...}'")
        drawn = [self.held_out is not None, self.seed is not None]
        if self.grammar is not None and not all(drawn):
            raise ValueError("'grammar' needs 'held_out' (0.0 to 1.0) and 'seed'")
        if self.grammar is None and any(drawn):
            raise ValueError("'held_out' and 'seed' belong to a 'grammar'")
        if self.file is None and (self.format != "auto" or self.questions is not None):
            raise ValueError("'format' and 'questions' belong to a 'file'; the grammar asks its own questions")
        if self.refuse is not None and self.grammar is not None:
            raise ValueError(
                "'refuse' belongs to a 'file' or to 'written'; the grammar says nothing that is to be refused"
            )
        if self.asked is not None and (self.grammar is not None or self.questions is not None):
            raise ValueError("'asked' belongs to a 'file' without 'questions' or to 'written'")
        return self


class Prompts(Section):
    train: Annotated[list[Source], Field(min_length=1)]
    dev: Annotated[list[Source], Field(min_length=1)]
    eval: Annotated[list[Source], Field(min_length=1)]
