"""Show a whole run on one page. In: data/, metrics/, plots/. Out: data/report."""
