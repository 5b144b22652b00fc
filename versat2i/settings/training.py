"""The sections `train_lora` and `mix`: how experts are trained and how they are united."""

from typing import Annotated, Literal

from pydantic import Field

from versat2i.settings.sections import Above, Interval, Name, Positive, Section, Share


class Descent(Section):
    """Settings of every training loop."""

    steps: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    lr_scheduler: Literal["constant", "linear"]  # after a warm-up: as it is, or falling to zero
    caption_dropout: Share
    checkpoint_every: Positive = 100  # steps between two saves: no part of the result


class Training(Descent):
    """Settings of every training on picks: an expert's, the joint LoRA's, the mixture's."""

    objective: Literal["sft", "contrast"]  # the picks alone, or each beside its prompt's worst candidate
    timesteps: Interval  # the part of the noise schedule that is trained, 0 clean, 1 pure noise
    min_snr: Annotated[float, Field(gt=0)] | None


class TrainLora(Training):
    rank: Positive
    alpha: Annotated[float, Field(gt=0)]
    targets: Literal["attention", "attention+feedforward", "convolutions", "attention+convolutions"]


class Uniting(Section):
    """What every union of experts takes."""

    # LoRAs made elsewhere, experts beside the aspects': a .safetensors file or a folder
    foreign: dict[Name, str] = Field(default_factory=dict)


class Gates(Training, Uniting):
    """A gated mixture of the experts."""

    kind: Literal["gates"]
    scope: Literal["token", "image", "layer", "time", "prompt"]  # what a gate looks at
    balance: Annotated[float, Field(ge=0)]
    scale: Annotated[float, Field(gt=0)]  # where lambda starts: 1 is the uniform merge, N the sum of N experts


class Joint(Section):
    """One LoRA trained on everything, with the ranks and steps of all experts together."""

    kind: Literal["joint"]


class Merge(Uniting):
    """A static merge of the experts."""

    kind: Literal["uniform", "sum", "svd", "ties", "dare_ties"]


Weights = dict[Name, Annotated[float, Field(ge=0, le=100)]]  # of each expert: 1 is the expert as it was trained


class Constant(Uniting):
    """A static merge with weights of one's own, such as the best on dev."""

    kind: Literal["constant"]
    weights: Weights


class Distilled(Descent, Uniting):
    """One LoRA that is taught the weighted sum of the experts' changes on its own samples."""

    kind: Literal["distilled"]
    weights: Weights  # of the sum, where the LoRA starts too
    rank: Positive | None  # null: the experts' ranks together, at which it starts at the exact sum
    states: Annotated[
        tuple[Above, Above], Field(strict=False)
    ]  # of the Beta distribution of a trajectory's states, from 0, noise, to 1, clean
    draw_steps: Positive  # of a trajectory
    guidance_scale: Annotated[float, Field(ge=1)]


Union = Annotated[Gates | Joint | Merge | Constant | Distilled, Field(discriminator="kind")]


def foreign_loras(rule: Union) -> dict[str, str]:
    """The LoRAs made elsewhere that a union takes, by name."""
    return rule.foreign if isinstance(rule, Uniting) else {}
