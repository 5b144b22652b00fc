"""Stable seeds: the same inputs give the same stream on every machine, in every process."""

import hashlib
import json

Seedable = str | int


def stable_seed(*parts: Seedable) -> int:
    """63-bit seed from the first 8 bytes of ``sha256(json(parts))``.

    Python's own ``hash`` is salted per process, so it cannot be used for anything that is kept.

    Args:
        parts: what the stream belongs to, e.g. ``(seed, prompt_id, k)``.

    Returns:
        An integer in ``[0, 2**63)``, valid for ``torch.Generator.manual_seed``.
    """
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
