"""Cut prompts into shards: prompts appended or K raised only add some."""

from dataclasses import dataclass

Key = tuple[str, int]  # prompt_id, k

K_PER_SHARD = 4
"""Candidates of a prompt in one shard: raising K adds shards and changes none."""


@dataclass(frozen=True)
class Shard:
    """One shard to draw: its name, its candidates, and the text of each prompt in it."""

    name: str
    keys: tuple[Key, ...]
    texts: dict[str, str]


def plan(texts: dict[str, str], per_prompt: int, prompts_per_shard: int) -> list[Shard]:
    """Cut the work into shards.

    Args:
        texts: prompt_id -> text, in the order of the prompt table.
        per_prompt: candidates of each, K.
        prompts_per_shard: prompts in one shard.
    """
    cut = blocks(list(texts), per_prompt, prompts_per_shard)
    return [
        Shard(name, tuple(keys), {prompt_id: texts[prompt_id] for prompt_id, _ in keys}) for name, keys in cut.items()
    ]


def blocks(prompt_ids: list[str], per_prompt: int, prompts_per_shard: int) -> dict[str, list[tuple[str, int]]]:
    """Which (prompt_id, k) belong to which shard.

    Prompts are cut into blocks by position and k into blocks of `K_PER_SHARD`, so that prompts
    appended or K raised leave every full shard as it is.

    Returns:
        shard name -> its (prompt_id, k) pairs, in drawing order.
    """
    plan = {}
    for start in range(0, len(prompt_ids), prompts_per_shard):
        block = prompt_ids[start : start + prompts_per_shard]
        for first in range(0, per_prompt, K_PER_SHARD):
            ks = range(first, min(first + K_PER_SHARD, per_prompt))
            name = f"{start // prompts_per_shard:05d}-{first // K_PER_SHARD:03d}"
            plan[name] = [(prompt_id, k) for prompt_id in block for k in ks]
    return plan
