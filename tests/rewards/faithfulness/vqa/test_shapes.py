"""Each question is answered about the image that it belongs to."""

import numpy as np
import pandas as pd
from placed import painted

from versat2i.rewards.faithfulness.vqa.shapes import Shapes


def test_answers_are_those_of_each_questions_own_image():
    images = np.stack([painted(("red circle", 32, 32)), painted(("blue star", 20, 20), ("blue star", 46, 46))])
    rows = [
        (1, "How many blue stars are there?", ["1", "2", "3"], "2"),
        (0, "What color is the circle?", ["blue", "red"], "red"),
        (0, "Is there a blue star?", ["yes", "no"], "no"),
        (1, "What color is the circle?", ["blue", "red"], None),  # there is none
        (0, "What color is the circle?", ["blue", "green"], None),  # it is neither
    ]
    asked = pd.DataFrame([row[:3] for row in rows], columns=["image", "question", "choices"])
    assert Shapes().answer(images, asked) == [row[3] for row in rows]
