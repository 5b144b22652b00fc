"""An evaluator for versat2i: how bright an image is."""


class Brightness:
    """Mean of all pixels, 0 to 1."""

    name, metric = "brightness", "brightness"
    higher_is_better, range = True, (0.0, 1.0)
    licence = "Apache-2.0"

    def score(self, images, prompts):
        """One number an image, or a text that says why there is none."""
        return [image.mean() / 255 for image in images]
