"""What the Makefile and `versat2i` call beside stages. In: a run, its params. Out: exports, cards, plans, tables."""
