"""A finished run whose stages can be run again and again at little cost."""

import copy
import functools
from collections import Counter

import drawn
import numpy as np
import pytest
import small_run
from markupsafe import Markup

from versat2i import backbone, codebase, generation, shards, training
from versat2i.report import charts


@pytest.fixture(scope="package")
def computed():
    """Counts each shard that is drawn and each step that is trained; quick stand-ins last as long as these tests."""
    done: Counter[str] = Counter()
    load, clip = functools.cache(backbone.load), training.nn.utils.clip_grad_norm_

    def candidates(self, shard):
        done[shard.name] += 1
        for number, (prompt_id, k) in enumerate(shard.keys):
            image = drawn.flat(0)
            image[8:40, 8 : 20 + 8 * number] = 255
            yield shards.Candidate(prompt_id, k, k, image, np.full((4, 16, 16), number, np.float32))

    def step(*arguments):
        done["steps"] += 1
        return clip(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "load", lambda *arguments: copy.deepcopy(load(*arguments)))
        patch.setattr(codebase, "digest", functools.cache(codebase.digest))
        patch.setattr(generation.Painter, "candidates", candidates)
        patch.setattr(training.nn.utils, "clip_grad_norm_", step)
        patch.setattr(charts, "_svg", lambda *_: Markup("<svg></svg>"))
        yield done


@pytest.fixture(scope="package")
def finished(tmp_path_factory, model_folder, computed):
    """A finished run."""
    return small_run.whole(tmp_path_factory.mktemp("faults") / "run", model_folder)
