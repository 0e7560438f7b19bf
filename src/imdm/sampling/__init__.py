"""The exact sampler: N steps, unconditional or around any visible positions."""
