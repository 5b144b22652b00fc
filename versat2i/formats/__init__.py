"""What lies on disk: tables, shards, tensors, metrics; no other module knows bytes. In: files. Out: frames, arrays."""
