"""How work is kept and run: the store of finished pieces, fingerprints, worker processes, progress, failures."""
