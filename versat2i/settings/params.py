"""params.yaml as frozen, strict models: what can change a result, one section a stage.

Nothing is guessed: an unknown name, a missing value, a wrong type or a value out of range is an error that says where
it stands and what was expected. No value that can change a result has a default here: DVC tracks what is written.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from versat2i.settings import complaints, reader, renamed
from versat2i.settings.complaints import hint
from versat2i.settings.sections import Name, Positive, Section, Seed
from versat2i.settings.sources import Prompts
from versat2i.settings.training import Constant, Distilled, TrainLora, Union, Weights, foreign_loras

BASE, MIXTURE, UNIFORM = "base", "mixture", "uniform"  # variants that results are told against
FIRST = "first"  # the base without `model.start`, which results are told against in rounds after the first

COMMIT = re.compile(r"[0-9a-f]{3,40}")
"""A commit's hash, perhaps shortened: a branch or a tag may move."""

Safety = Literal["off", "drop"]


class Model(Section):
    """The base model: a local folder, a hub repository at a pinned revision, or a checkpoint in one file.

    The last two have defaults for models that code loads; `Params` asks for them.
    """

    path: str | None = None
    repo: str | None = None
    revision: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"]
    mixed_precision: Literal["float16", "bfloat16"] | None = None  # of the denoiser's products, where dtype is float32
    threads: Positive  # CPU threads change the last bits, so they belong to the result
    vae_tiling: bool = False  # decode large images in tiles, blended at their seams, which may show
    variant: str | None = None  # of the weight files, e.g. fp16; null: the only one that there is
    file: str | None = None  # a checkpoint in one file
    config: str | None = None  # of a file: a folder or owner/name@commit, for the tokenizers and configs
    start: Annotated[tuple[str, ...], Field(strict=False)] = ()  # folders of earlier rounds' LoRAs, fused into it
    quantize: Literal["nf4"] | None = None  # weights of the denoiser's linear layers in 4 bits; needs versat2i[nf4]

    @property
    def place(self) -> tuple[str, str | None]:
        """Where its tokenizers and configs lie: a folder, or a repository and its revision."""
        if self.config is None:
            return str(self.path or self.repo), self.revision
        repo, _, revision = self.config.rpartition("@")
        return (repo, revision) if COMMIT.fullmatch(revision) and repo else (self.config, None)

    @property
    def name(self) -> str:
        """What its weights are called: a folder, a file or a repository."""
        return str(self.path or self.file or self.repo)

    @property
    def first(self) -> "Model":
        """The very first base: without earlier rounds."""
        return self.model_copy(update={"start": ()})

    @property
    def folders(self) -> list[Path]:
        """What of it lies on this machine, not on the hub: folders and files."""
        return [Path(name) for name in (self.path, self.file, self.config, *self.start) if name and "@" not in name]

    @model_validator(mode="after")
    def _one_source(self) -> "Model":
        if twice := [folder for folder in self.start if self.start.count(folder) > 1]:
            raise ValueError(f"start: {twice[0]} is there twice; each round counts once")
        if [self.path, self.repo, self.file].count(None) != 2:
            raise ValueError("give either 'path' or 'repo' with 'revision', or 'file' with 'config'")
        if (self.file is None) != (self.config is None):
            raise ValueError(
                "'file' and 'config' belong together: a checkpoint in one file, and a folder or owner/name@commit of a "
                "model of its kind in diffusers' format, for the tokenizers and configs"
            )
        if self.config is not None and "@" in self.config and self.place[1] is None:
            raise ValueError(f"config {self.config!r} has no commit hash after its @: a branch may be another tomorrow")
        if self.file is not None and self.variant is not None:
            raise ValueError("'variant' belongs to a folder or a repository, which may hold several")
        if self.repo is not None and not self.revision:
            raise ValueError("'repo' needs a 'revision' (a commit hash), so that results can be reproduced")
        if self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"revision {self.revision!r} may be another one tomorrow; give a commit hash, which the repository's "
                "page at the hub shows below 'Files'"
            )
        return self


class Sampling(Section):
    """How images are drawn, for candidates and evaluations alike."""

    steps: Positive
    guidance_scale: Annotated[float, Field(ge=1)]
    batch_size: Positive
    size: Positive | None = None  # the side of an image in pixels; null: what the model's config says


class Generate(Sampling):
    per_prompt: Positive
    prompts_per_shard: Positive
    safety: Safety  # drop: images that the model's own checker flags are blacked out and judged by no evaluator


class Environment(Section):
    """A Python environment beside this one; compute.yaml says where it lies on a machine."""

    name: Name
    lock: str  # the file that pins its packages


class Reward(BaseModel):
    """An evaluator by name; every other key is an option of that evaluator."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    evaluator: str
    environment: Environment | None = None  # that it runs in, where its versions clash with ours

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class Threshold(Section):
    """The least score a pick may have: as it is, or as a quantile of the pool."""

    absolute: float | None = None
    quantile: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Threshold":
        if (self.absolute is None) == (self.quantile is None):
            raise ValueError("give either 'absolute' or 'quantile'")
        return self


class Select(Section):
    threshold: Threshold
    per_prompt: Positive
    margin: Annotated[float, Field(ge=0)]
    min_selected: Positive
    guard: list[Name]  # other aspects, in which a pick must reach its prompt's median and its rival not exceed it
    filter: dict[Name, float] = Field(
        default_factory=dict
    )  # aspect -> the worst score in it that a candidate may have to be used at all


class Evaluate(Sampling):
    split: Literal["dev", "eval"]
    per_prompt: Positive
    prompts_per_shard: Positive
    variants: Annotated[list[Name], Field(min_length=1)]
    judges: list[Reward]  # beside the aspects' evaluators; never used for selection
    resamples: Annotated[int, Field(ge=100, le=1_000_000)]


class Params(Section):
    seed: Seed
    aspects: Annotated[list[Name], Field(min_length=1)]
    model: Model
    prompts: Prompts
    generate: Generate
    rewards: dict[str, Reward]
    select: dict[str, Select]
    train_lora: dict[str, TrainLora]
    mix: Annotated[dict[Name, Union], Field(min_length=1)]  # what unites the experts, by the name of its variant
    evaluate: Evaluate

    @property
    def scored(self) -> list[str]:
        """Aspects that candidates are scored in: those with an expert, then those that only guard or filter."""
        rules = [self.select[aspect] for aspect in self.aspects]
        named = (name for rule in rules for name in (*rule.guard, *rule.filter))
        return list(dict.fromkeys([*self.aspects, *named]))

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if unwritten := {"mixed_precision", "vae_tiling"} - self.model.model_fields_set:
            raise ValueError(f"model.{min(unwritten)} is missing")
        for section in ("rewards", "select", "train_lora"):
            for aspect in self.aspects:
                if aspect not in getattr(self, section):
                    raise ValueError(f"aspect {aspect!r} is in 'aspects' but has no entry in '{section}'")
        for aspect in self.aspects:
            others = [name for name in self.rewards if name != aspect]
            for key, names in (("guard", self.select[aspect].guard), ("filter", self.select[aspect].filter)):
                for name in names:
                    if name not in others:
                        raise ValueError(
                            f"select.{aspect}.{key}: {name!r} is none of the other aspects ({', '.join(others)})"
                            f"{hint(name, others)}"
                        )
        known = [BASE, *([FIRST] if self.model.start else []), *self.aspects, *self.mix]
        for name in known:
            if known.count(name) > 1:
                own = "'base', 'first'," if self.model.start else "'base',"
                raise ValueError(f"{name!r} is named twice in {own} 'aspects' and 'mix'; each is a folder")
        for variant, rule in self.mix.items():
            for name in foreign_loras(rule):
                if name in known:
                    raise ValueError(
                        f"mix.{variant}.foreign: {name!r} is another variant's name; give it one of its own"
                    )
            if isinstance(rule, Constant | Distilled):
                _check_weights(f"mix.{variant}.weights", rule.weights, [*self.aspects, *rule.foreign])
        for variant in self.evaluate.variants:
            if self.evaluate.variants.count(variant) > 1:
                raise ValueError(f"evaluate.variants: {variant!r} is there twice")
            if variant == FIRST and variant not in known:
                raise ValueError("evaluate.variants: 'first' is the base without model.start, which is empty")
            if variant not in known:
                raise ValueError(f"evaluate.variants: {variant!r} is none of {', '.join(known)}{hint(variant, known)}")
        if BASE not in self.evaluate.variants:
            raise ValueError("evaluate.variants: 'base' is missing; every gain is measured against it")
        if self.model.start and FIRST not in self.evaluate.variants:
            raise ValueError(
                "evaluate.variants: 'first' is missing; with model.start gains are measured against the first base too"
            )
        return self


def _check_weights(where: str, weights: Weights, experts: list[str]) -> None:
    """Each expert has a weight, and nothing else."""
    for name in weights:
        if name not in experts:
            raise ValueError(f"{where}: {name!r} is none of the experts ({', '.join(experts)}){hint(name, experts)}")
    for name in experts:
        if name not in weights:
            raise ValueError(f"{where}: expert {name!r} has none; write 0.0 to leave it out")


Entry = TypeVar("Entry")


def entry(section: dict[str, Entry], aspect: str, name: str) -> Entry:
    """The entry of an aspect in a section.

    Raises:
        ValueError: there is none.
    """
    if aspect not in section:
        known = ", ".join(section)
        raise ValueError(f"params.yaml: {name} has no entry {aspect!r} (it has {known}){hint(aspect, list(section))}")
    return section[aspect]


def parse(text: str, name: str = "params.yaml") -> Params:
    """Params from YAML text.

    Raises:
        ValueError: what is wrong, in one line: where, what was found, what was expected.
    """
    try:
        content = reader.parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{name}: expected sections (seed, aspects, model, ...), found {type(content).__name__}")
    if moved := renamed.in_params(content):
        raise ValueError("\n".join(f"{name}: {line}" for line in moved))
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = sorted(map(_placed, error.errors()), key=lambda e: e["type"] == "missing")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ValueError(f"{name}: {complaints.line(problems[0], Params)}{more}") from None


def _placed(error: Any) -> Any:
    """Move an error of a `mix` section to its key: pydantic inserts the kind into the path and does not name `kind`."""
    loc = error["loc"]
    if error["type"] == "union_tag_not_found":
        return error | {"type": "missing", "loc": (*loc, "kind")}
    if error["type"] == "union_tag_invalid":
        message = f"Input should be {error['ctx']['expected_tags']}"
        return error | {"type": "literal_error", "loc": (*loc, "kind"), "input": error["ctx"]["tag"], "msg": message}
    return error | {"loc": (*loc[:2], *loc[3:])} if loc[:1] == ("mix",) and len(loc) > 3 else error


def load(path: Path = Path("params.yaml")) -> Params:
    """Params from a file.

    Raises:
        ValueError: as `parse`, or the file cannot be read.
    """
    try:
        return parse(path.read_text(), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
