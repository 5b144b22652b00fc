"""Charts as SVG to stand in the page: its text colour, no date, the same bytes every time."""

import io
import re
from collections.abc import Callable

import matplotlib.style
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK = "#010203"  # stands for the page's text colour, which is another in dark mode
POOL, PICKS = "#8b93a1", "#e07b00"  # readable on white and on black
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name with two dollars is a name
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "font.size": 9,
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
WIDTH, HEIGHT = 5.4, 2.6  # inches
ROW = 0.15  # inches, of a layer in the heat map
LABELLED_ROWS = 96  # layers; with more, only blocks have room for a name, and only so many of them
MOST_BINS = 40
MOST_COLOUR = 2.0  # standard deviations; larger gains get no more colour, or one would hide all others
STRETCHES = 100  # points of a loss curve

_FURNITURE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", re.S)
_UNUSED_ID = re.compile(r' id="[A-Za-z0-9.]+_\d+"')  # of matplotlib's groups; charts share a page


def _svg(name: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> Markup:
    """Draw on one pair of axes.

    Args:
        name: of the chart, one of its own on the page.
        size: width and height in inches.
        draw: fills the axes.
    """
    with matplotlib.style.context({**STYLE, "svg.hashsalt": name}, after_reset=True):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=NO_METADATA)
    bare = _UNUSED_ID.sub("", _FURNITURE.sub("", text.getvalue()))
    lines = (line.rstrip() for line in bare.replace(INK, "currentColor").splitlines())
    return Markup("\n".join(line for line in lines if line))


def histogram(aspect: str, pool: NDArray[np.float64], picks: NDArray[np.float64], threshold: float | None) -> Markup:
    """Histogram of the scores of pool and picks, as shares of each.

    Args:
        aspect: whose scores.
        pool: of the candidates that were judged, ``[candidates]``, at least one.
        picks: ``[picks]``.
        threshold: what a pick must reach.
    """
    edges = np.histogram_bin_edges(pool, bins=min(MOST_BINS, round(2 * len(pool) ** (1 / 3))))  # Rice's rule

    def draw(axes: Axes) -> None:
        for values, color, label in ((pool, POOL, "pool"), (picks, PICKS, "picks")):
            share = np.full(len(values), 1 / max(1, len(values)))
            axes.hist(values, edges.tolist(), weights=share, histtype="stepfilled", color=color, alpha=0.6, label=label)
        if threshold is not None:
            axes.axvline(threshold, color=INK, linestyle="--", linewidth=1, label="threshold")
        axes.set(xlabel=f"{aspect} score", ylabel="share")
        axes.locator_params(nbins=6)
        axes.figure.legend(loc="outside upper right", ncols=3)  # in the axes it would hide bars

    return _svg(f"histogram-{aspect}", (WIDTH, HEIGHT), draw)


def losses(name: str, frame: pd.DataFrame) -> Markup:
    """The training loss: the mean of each of at most `STRETCHES` equal stretches of steps.

    Args:
        name: of the adapter.
        frame: ``step, loss``, at least one row.
    """
    size = -(-len(frame) // STRETCHES)
    means = frame.groupby(np.arange(len(frame)) // size).mean()

    def draw(axes: Axes) -> None:
        axes.plot(means["step"], means["loss"], color=PICKS, linewidth=1.2)
        axes.set(xlabel="step", ylabel=f"loss, mean of {size} steps" if size > 1 else "loss")
        axes.locator_params(nbins=6)

    return _svg(f"losses-{name}", (WIDTH, HEIGHT), draw)


def _legible(background: NDArray[np.float64]) -> str:
    """Black or white, whichever stands out more: WCAG's contrast is equal at a luminance of 0.179."""
    linear = [(c + 0.055) ** 2.4 / 1.055**2.4 if c > 0.04045 else c / 12.92 for c in background[:3]]
    return "#000000" if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.179 else "#ffffff"


def conflicts(gains: pd.DataFrame, texts: pd.DataFrame, clear: pd.DataFrame, aspects: int) -> Markup:
    """Variants x metrics: who gains where, and at whose cost.

    Args:
        gains: in standard deviations of base, ``[variants, metrics]``; NaN: not measured.
        texts: what stands in each cell.
        clear: whether a cell's whole interval is on one side of zero; its text is bold.
        aspects: how many of the first columns are aspects; a line parts them from the rest.
    """
    values = gains.to_numpy(float)
    most = float(np.clip(np.nanmax(np.abs(values), initial=0.0), 0.1, MOST_COLOUR))  # noise gets no full colour

    def draw(axes: Axes) -> None:
        image = axes.imshow(values, cmap="PuOr", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
        for (y, x), value in np.ndenumerate(values):
            weight = "bold" if clear.iat[y, x] else "normal"
            color = INK if np.isnan(value) else _legible(np.asarray(image.to_rgba(value)))
            axes.text(x, y, str(texts.iat[y, x]), ha="center", va="center", weight=weight, color=color)
        axes.set_xticks(range(len(gains.columns)), gains.columns, rotation=20, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(gains.index)), gains.index)
        axes.axvline(aspects - 0.5, color="#000000", linewidth=2)  # on the cells, which are light in dark mode too
        axes.figure.colorbar(image, ax=axes, extend="both", label="gain, sd of base")

    return _svg("conflicts", (1.9 + 0.95 * values.shape[1], 1.3 + 0.38 * values.shape[0]), draw)


def gates(table: pd.DataFrame) -> Markup:
    """Mean gate weight of each expert in each layer.

    Args:
        table: ``[layers, experts]``, in [0, 1].
    """
    named = table.index if len(table) <= LABELLED_ROWS else table.index.str.split(".attn").str[0]
    starts = [y for y, label in enumerate(named) if not y or named[y - 1] != label]
    labelled = starts[:: -(-len(starts) // LABELLED_ROWS)]

    def draw(axes: Axes) -> None:
        image = axes.imshow(table, cmap="viridis", vmin=0.0, aspect="auto", interpolation="nearest")
        axes.set_xticks(range(table.shape[1]), table.columns)
        axes.tick_params(axis="x", top=True, labeltop=True)  # the chart is taller than a window
        axes.set_yticks(labelled, [named[y] for y in labelled])
        axes.tick_params(axis="y", labelsize=7)
        axes.figure.colorbar(image, ax=axes, location="top", shrink=0.7, label="mean gate weight", pad=0.01)

    return _svg("gates", (7.0, 1.6 + ROW * min(len(table), LABELLED_ROWS)), draw)
