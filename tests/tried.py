"""What `versat2i check` finds of a small model."""

import drawn

from versat2i.settings.compute import CPU
from versat2i.settings.params import Model
from versat2i.tools import check


def settings(folder, dtype="float32", rule=None, **rewards):
    """Params of one aspect."""
    whole = drawn.settings(Model(path=str(folder), dtype=dtype, threads=1), ("low_level",)).model_dump()
    whole["rewards"] = {"low_level": {"evaluator": "classical"} | rewards}
    whole["train_lora"]["low_level"] |= rule or {}
    whole["generate"] |= {"steps": 2, "guidance_scale": 3.0}
    return drawn.params.Params.model_validate(whole)


def found(whole, machine=CPU):
    """What is found, by what it is about."""
    return {finding.what: finding for finding in check.findings(whole, machine)}
