"""The stages of dvc.yaml: one command a file."""
