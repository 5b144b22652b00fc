"""Controls: evaluators that know nothing, to show what the rest of the method does on its own."""

EVALUATORS = {"random": "versat2i.rewards.control.random:Random"}
