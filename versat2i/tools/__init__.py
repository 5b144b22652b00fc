"""What stands beside the pipeline: the commands of versat2i and of the Makefile."""
