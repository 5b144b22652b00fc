"""What the user wrote: params.yaml, compute.yaml and the versions it is run with. In: YAML. Out: frozen models."""
