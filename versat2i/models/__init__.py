"""Models that others trained, to draw, judge or write. In: weights of a folder or hub. Out: images, logits, replies."""
