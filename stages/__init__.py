"""The stages of dvc.yaml: one command a file."""

import sys

from versat2i.work import failures

failures.tell_early(sys.orig_argv)  # here, since the modules that a stage imports take a second
