"""A finished run whose stages can be run again and again at little cost."""

from collections import Counter
from contextlib import contextmanager

import drawn
import numpy as np
import pytest
import small_run

from versat2i.formats import shards
from versat2i.generate import painter
from versat2i.train import loop


@contextmanager
def quick_stages():
    """Counts each shard that is drawn and each step that is trained; quick stand-ins last as long as the context."""
    done: Counter[str] = Counter()
    clip = loop.nn.utils.clip_grad_norm_

    def paint(self, shard):
        done[shard.name] += 1
        for number, (prompt_id, k) in enumerate(shard.keys):
            image = drawn.flat(0)
            image[8:40, 8 : 20 + 8 * number] = 255
            yield [shards.Candidate(prompt_id, k, k, image, np.full((4, 16, 16), number, np.float32))]

    def step(*arguments):
        done["steps"] += 1
        return clip(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        small_run.quicken(patch)
        patch.setattr(painter.Worker, "_paint", paint)
        patch.setattr(loop.nn.utils, "clip_grad_norm_", step)
        yield done


@pytest.fixture(scope="module")  # no longer: other tests draw in earnest
def computed():
    with quick_stages() as done:
        yield done


@pytest.fixture(scope="session")
def root(tmp_path_factory, model_folder):
    """A finished run."""
    with quick_stages():
        return small_run.whole(tmp_path_factory.mktemp("faults") / "run", model_folder)
