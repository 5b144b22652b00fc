"""What evaluators share: the contract, the registry, scoring of shards, environments of their own."""
