"""What every stage shares: the harness, atomic artifacts, chunks, shards, devices."""
