"""The report: one page that shows what the pipeline has done, with its pictures beside it."""
