"""The embedded world's answerer: it reads the scene from the pixels, without a model."""

import pandas as pd

from versat2i.rewards.common.base import OWN_LICENCE, Images
from versat2i.shapes.world.answering import answer_scene
from versat2i.shapes.world.perception import perceive


class Shapes:
    """Answers the questions that `versat2i.shapes.world.questions` asks, by one of the choices."""

    licence = OWN_LICENCE
    free_form = False

    def answer(self, images: Images, asked: pd.DataFrame) -> list[str | None]:
        scenes = {position: perceive(images[position]) for position in asked["image"].unique()}
        rows = zip(asked["image"], asked["question"], asked["choices"], strict=True)
        return [answer_scene(scenes[image], question, list(choices)) for image, question, choices in rows]
