"""Metrics files that the page shows besides results, checked before anything is drawn."""

from versat2i.formats.records import Count, Number, Part


class Selection(Part):
    """``metrics/select/<aspect>.json``."""

    candidates: Count
    abstained: Count
    prompts: Count
    prompts_without_pick: Count
    picks: Count
    threshold: Number | None = None
    pool_mean: Number | None = None
    picks_mean: Number | None = None


class Mixing(Part):
    """``metrics/mix/mixture.json``."""

    gate: dict[str, Number]
    entropy: Number
    distance: Number
    scale: Number
    temperature: Number
