"""GenEval (Ghosh et al. 2023): is everything that the prompt asks for there, by an object detector of transformers."""

from functools import cached_property
from typing import Any

import numpy as np

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Explained, Image, Images, Prompt, Verdicts, pictures
from versat2i.rewards.common.clip import Clip
from versat2i.rewards.faithfulness.detections import COLORS, Found, Wanted, held, wanted

NO_CLIP = "no `clip` tells the colour that the prompt asks for"


class Detector(weights.Holder):
    """Any object detector of transformers: DETR, RT-DETR, D-FINE, ..."""

    kind = "AutoModelForObjectDetection"

    @cached_property
    def _processor(self) -> Any:
        return self.weights.load("AutoImageProcessor")

    @property
    def names(self) -> list[str]:
        """The classes that it knows."""
        return list(map(str, self._model.config.id2label.values()))

    def find(self, image: Image, threshold: float) -> list[Found]:
        """The objects of an image ``[height, width, 3]`` that it is at least so sure of."""
        import torch  # heavy

        model = self._model
        inputs = self._processor(pictures(image[None]), return_tensors="pt").to(model.device, model.dtype)
        with torch.inference_mode():
            seen = model(**inputs)
        (one,) = self._processor.post_process_object_detection(seen, threshold, target_sizes=[image.shape[:2]])
        named = [str(model.config.id2label[int(label)]) for label in one["labels"]]
        rows = zip(named, one["boxes"].tolist(), one["scores"].tolist(), strict=True)
        return [Found(name, tuple(box), score) for name, box, score in rows]


class GenEval:
    """1 where all of `held` holds, else 0; with `share` the share of it that holds.

    GenEval itself detects by Mask2Former and asks CLIP about each object on a plain ground, cut out by its mask, in
    four wordings. Here any detector gives boxes, and CLIP sees what is within the box, in one wording.
    """

    name = "geneval"
    metric = "geneval"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self,
        detector: str,
        clip: str | None = None,
        share: bool = False,
        threshold: float = 0.3,
        counting_threshold: float = 0.9,
        dtype: str = "float32",
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            detector: an object detector of COCO's classes, a folder or ``repository@revision``.
            clip: a CLIP that tells colours; without one it abstains on prompts with colours.
            share: whether a part counts; GenEval's score is all or nothing.
            threshold: of the detector's confidence.
            counting_threshold: the same for prompts that ask for a number, as GenEval has it.
            dtype: float32, float16 or bfloat16.
            trust_remote_code: whether code that comes with the models may be run.
            device: to compute on.
        """
        self.detector = Detector(detector, dtype, trust_remote_code, device)
        self.clip = None if clip is None else Clip(clip, dtype, trust_remote_code, device)
        self._share, self._threshold, self._counting = share, threshold, counting_threshold
        self.weights = [self.detector.weights, *([] if self.clip is None else [self.clip.weights])]
        self.metric = "geneval_share" if share else "geneval"
        self.licence = f"{OWN_LICENCE}; {detector}: {weights.LICENCE}"

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [self._judge(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    def _judge(self, image: Image, prompt: Prompt) -> float | str:
        asked = wanted(prompt.questions, self.detector.names)
        if isinstance(asked, str):
            return asked
        if self.clip is None and any(want.color for want in asked):
            return NO_CLIP
        counts = any(want.exact for want in asked)
        found = self.detector.find(image, self._counting if counts else self._threshold)
        return self.verdict(image, asked, found)

    def verdict(self, image: Image, asked: list[Wanted], found: list[Found]) -> Explained:
        """The score of what a detector found, with what held."""
        held_ = held(asked, found, lambda thing: self._color(image, thing))
        score = float(np.mean(list(held_.values()))) if self._share else float(all(held_.values()))
        return Explained(score, {"held": held_})

    def _color(self, image: Image, thing: Found) -> str:
        """The colour that CLIP finds most like what is within the box."""
        left, top, right, bottom = (max(0, round(end)) for end in thing.box)
        crop = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        if self.clip is None or not crop.size:
            return ""
        likeness = self.clip.cosines(np.stack([crop] * len(COLORS)), [f"a photo of a {c} {thing.name}" for c in COLORS])
        return COLORS[int(likeness.argmax())]
