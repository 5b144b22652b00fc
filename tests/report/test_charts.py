"""Charts are SVG that can stand in the page: without date, in its text colour, the same every time."""

import re

import numpy as np
import pandas as pd
import pytest

from versat2i.report import charts

POOL = np.linspace(0, 1, 50)
FRAME = pd.DataFrame({"step": range(1, 1001), "loss": np.linspace(1, 0, 1000)})
VARIANTS, NAMES = ["geometry", "mixture"], ["tifa", "geometry", "diversity"]


def conflicts(values=((1.0, -0.5, np.nan), (0.2, 0.1, 0.0))):
    gains = pd.DataFrame(values, VARIANTS, NAMES)
    return charts.conflicts(gains, gains.map("{:+.2f}".format), gains > 0.5, 2)


def gates(layers):
    names = [f"down_blocks.{n}.attn1.to_q" for n in range(layers)]
    return charts.gates(pd.DataFrame(0.25, names, ["a", "b", "c", "d"]))


CHARTS = {
    "histogram": lambda: charts.histogram("geometry", POOL, POOL[40:], 0.5),
    "losses": lambda: charts.losses("geometry", FRAME),
    "conflicts": conflicts,
    "gates": lambda: gates(3),
}


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_is_the_same_bytes_twice_and_tells_neither_date_nor_version(chart):
    svg = CHARTS[chart]()
    assert svg == CHARTS[chart]()
    assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    assert "<metadata" not in svg and "<style" not in svg and "atplotlib" not in svg


def test_texts_and_lines_have_the_text_colour_of_the_page():
    svg = CHARTS["histogram"]()
    assert svg.count("currentColor") > 10 and charts.INK not in svg
    assert "geometry score" in svg


def test_the_ids_of_two_charts_differ():
    ids = [set(re.findall(r' id="([^"]+)"', CHARTS[chart]())) for chart in ("histogram", "losses", "gates")]
    assert ids[0] and not (ids[0] & ids[1] or ids[1] & ids[2] or ids[0] & ids[2])


def test_conflicts_show_every_cell_and_bold_where_it_is_clear():
    svg = conflicts()
    for text in ("+1.00", "-0.50", "+nan", "+0.20", *VARIANTS, *NAMES):
        assert f">{text}</text>" in svg
    assert len(re.findall(r"<text[^>]*font-weight: 700[^>]*>", svg)) == 1


def test_a_chart_of_which_nothing_was_measured_is_drawn_all_the_same():
    assert "+nan" in conflicts(np.full((2, 3), np.nan))


def test_a_long_loss_curve_is_cut_to_means_of_equal_stretches():
    svg = charts.losses("geometry", FRAME)
    [curve] = [d for d in re.findall(r'd="([^"]*)"', svg) if d.count("L") > 20]
    assert curve.count("L") < charts.STRETCHES
    assert "mean of 10 steps" in svg


def test_a_mixture_of_many_layers_names_blocks_and_stays_small():
    svg = gates(600)
    assert len(svg) < 200_000


def test_a_name_with_dollars_is_a_name():
    assert "$x$ score" in charts.histogram("$x$", POOL, POOL, None)
