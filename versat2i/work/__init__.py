"""How work is kept and run: store, fingerprints, processes, failures. In: tasks. Out: finished pieces in .work."""
