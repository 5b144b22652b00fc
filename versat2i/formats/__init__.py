"""What lies on disk: Parquet tables, image shards, tensors. The only modules that know bytes."""
