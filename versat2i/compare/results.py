"""The record of one comparison, as ``metrics/evaluate.json`` holds it, and its text form."""

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, RootModel

from versat2i.formats.records import Count, Number, Part

BETTER, WORSE, UNCLEAR, UNKNOWN = "better", "worse", "no clear change", "not measured"


class Gain(Part):
    """A gain over the base, or of one variant over another; None where a number cannot be computed.

    Attributes:
        low: lower end of its 95 % interval.
        high: upper end.
    """

    gain: Number | None = None
    low: Number | None = None
    high: Number | None = None

    @property
    def verdict(self) -> str:
        """`better` or `worse` only where the whole interval is."""
        if self.low is None or self.high is None:
            return UNKNOWN
        return BETTER if self.low > 0 else WORSE if self.high < 0 else UNCLEAR

    def told(self, digits: int = 4) -> str:
        """``+0.0100 [+0.0070, +0.0130]``; a dash where it was not measured."""
        if self.gain is None or self.low is None or self.high is None:
            return "-"
        return f"{self.gain:+.{digits}f} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


class Result(Gain):
    """One variant in one metric; base has `mean` and `abstained`.

    Attributes:
        mean: over prompts, in the metric's own unit.
        win_rate: share of prompts on which the variant is better than base; a tie is half.
        abstained: images that the evaluator did not judge.
        more_abstentions: whether base has fewer of them.
        lower_is_better: whether a low mean is a good one.
        over_first: the gain over the first base, where the base has earlier rounds in it.
    """

    mean: Number | None = None
    win_rate: Number | None = None
    abstained: Count
    more_abstentions: bool = False
    lower_is_better: bool = False
    over_first: Gain | None = None


def title(metric: str, lower_is_better: bool) -> str:
    """A metric's name above its means, with its direction where that is not the usual one."""
    return f"{metric} (lower is better)" if lower_is_better else metric


class Together(Gain):
    """A variant over all metrics, in standard deviations of base; the file calls its gain over base `score`."""

    gain: Number | None = Field(default=None, validation_alias=AliasChoices("score", "gain"))
    metrics_left_out: Count = 0


class Evaluation(BaseModel):
    """``metrics/evaluate.json``: beside the summary a result for each variant and metric."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, dict[str, Result]] = Field(init=False)
    summary: dict[str, Together]

    @property
    def variants(self) -> dict[str, dict[str, Result]]:
        """variant -> metric -> result."""
        return self.__pydantic_extra__

    def of(self, variant: str, metric: str) -> Result:
        """One result.

        Raises:
            ValueError: there is none.
        """
        try:
            return self.variants[variant][metric]
        except KeyError as error:
            raise ValueError(
                f"metrics/evaluate.json: has no {error} (looked for {metric} of {variant}). Run `dvc repro compare`"
            ) from None


class Groups(RootModel[dict[str, Evaluation]]):
    """``metrics/groups.json``: a comparison for each group of prompts."""
