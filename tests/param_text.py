"""Params as text, to change a value of and to read or refuse."""

import drawn
import pytest
from ruamel.yaml import YAML

from versat2i.settings import params

TEXT = """
seed: 0
aspects: [geometry, low_level]
model: {path: some/folder, dtype: float32, mixed_precision: null, threads: 2, vae_tiling: false}
prompts:
  train: [{grammar: 10, held_out: 0.0, seed: 0}]
  dev: [{grammar: 10, held_out: 0.5, seed: 1}]
  eval: [{file: prompts.txt, questions: grammar}]
generate: {per_prompt: 8, steps: 12, guidance_scale: 4.0, batch_size: 64, prompts_per_shard: 32, safety: off}
rewards:
  geometry: {evaluator: regularity}
  low_level: {evaluator: classical, window: 7}
select:
  geometry: {threshold: {quantile: 0.5}, per_prompt: 1, margin: 0.0, min_selected: 32, guard: []}
  low_level: {threshold: {absolute: 0.1}, per_prompt: 1, margin: 0.0, min_selected: 32, guard: []}
train_lora:
  geometry:
    {objective: sft, rank: 8, alpha: 8, targets: attention, timesteps: [0.0, 1.0], steps: 100, batch_size: 32,
     learning_rate: 1.0e-3, lr_scheduler: constant, caption_dropout: 0.1, min_snr: null}
  low_level:
    {objective: sft, rank: 8, alpha: 8, targets: attention, timesteps: [0.0, 1.0], steps: 9, batch_size: 3,
     learning_rate: 0.1, lr_scheduler: constant, caption_dropout: 0, min_snr: null}
mix:
  mixture:
    {kind: gates, objective: sft, scope: token, scale: 1.0, balance: 0.01, timesteps: [0.0, 1.0], steps: 100,
     batch_size: 32, learning_rate: 0.01, lr_scheduler: constant, caption_dropout: 0.1, min_snr: null}
  uniform: {kind: uniform}
evaluate:
  {split: eval, per_prompt: 2, steps: 12, guidance_scale: 4.0, batch_size: 64, prompts_per_shard: 32,
   variants: [base, geometry], resamples: 2000, judges: [{evaluator: second_reader}]}
"""


def changed(place, value=None):
    """The text with another value at a dotted place; without one where the value is None."""
    content = YAML(typ="safe").load(TEXT)
    *above, last = place.split(".")
    section = content
    for name in above:
        section = section[int(name) if name.isdigit() else name]
    if value is None:
        del section[last]
    else:
        section[last] = value
    return drawn.yaml_text(content)


def refused(text):
    """The one line that refuses the text."""
    with pytest.raises(ValueError) as error:
        params.parse(text)
    line = str(error.value)
    assert line.startswith("params.yaml: ") and "\n" not in line
    return line.removeprefix("params.yaml: ")
