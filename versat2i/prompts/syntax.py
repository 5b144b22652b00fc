"""Prompts written for another tool: its syntax is taken off, what is to be seen stays.

A1111 and ComfyUI: weights ``(x:1.3)``, emphasis ``((x))``, escaped brackets, ``<lora:name:0.8>``, ``BREAK``. Options
after the prompt in kohya's sample prompts, A1111's prompt files and Midjourney: ``--n bad --w 768``,
``--negative_prompt "bad"``, ``--ar 16:9``. Taken literally, a negative prompt would be asked for.
"""

import re

_NUMBERS = (
    *("w", "h", "d", "s", "l", "g", "b", "f", "t", "steps", "cfg_scale", "width", "height", "seed", "batch_size"),
    *("n_iter", "v", "version", "stylize", "c", "chaos", "q", "quality", "iw", "weird", "stop", "niji"),
)
_TEXTS = ("n", "no", "negative_prompt", "ss", "cn", "sampler_name", "style", "sref", "cref")
_ALONE = ("niji", "tile", "raw", "hd", "test", "testp", "uplight", "upbeta")
_OPTION = re.compile(
    rf"\s--(?:(?:{'|'.join(_NUMBERS)})\s+-?[\d.]+(?!\S)|(?:{'|'.join(_TEXTS)})\s+[^\s-]"
    rf"|(?:ar|aspect)\s+\d+:\d+|(?:{'|'.join(_ALONE)})(?!\S))"
)
_NAMED = re.compile(r'\s*--prompt\s+"([^"]*)"')

_OPEN, _CLOSE = "\ue000", "\ue001"  # stand for escaped brackets meanwhile
_NETWORK = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.I)
_WEIGHT = re.compile(r"\(([^()]*[^()\s\d:])\s*:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)")
_TWICE = re.compile(r"(?<!\w)(?:\(\(([^()]*)\)\)|\[\[([^\[\]]*)\]\])")
_EMPHASIS = re.compile(r"[()\[\]]|\bBREAK\b")

COMMENT = re.compile(r"\s*#\s+\S")
"""A line that is no prompt in kohya's files of them."""


def plain(text: str) -> str:
    """A prompt without the syntax of other tools: equal to `text` where there is none, empty if there is nothing else.

    A sign is only what ordinary language has not: ``(4:3)`` and brackets alone are kept. Where a prompt has a sign of
    A1111's, its other brackets are emphasis too.
    """
    named = _NAMED.match(text)
    option = _OPTION.search(text)
    bare = named[1] if named else text[: option.start()] if option else text
    return _unweighted(bare)


def _unweighted(text: str) -> str:
    """A prompt without A1111's syntax."""
    bare = _NETWORK.sub("", text).replace("\\(", _OPEN).replace("\\)", _CLOSE)
    while (inner := _TWICE.sub(r"(\1\2)", _WEIGHT.sub(r"\1", bare))) != bare:
        bare = inner
    if bare == text:
        return text
    bare = _EMPHASIS.sub(" ", bare).replace(_OPEN, "(").replace(_CLOSE, ")")
    bare = re.sub(r"\s+(?=[,.;])", "", re.sub(r"\s+", " ", bare))
    return re.sub(r",[,\s]*(?=,)", "", bare).strip(" ,")
