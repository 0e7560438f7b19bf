"""What an experiment costs and what it lacks, before anything runs. Imports no torch."""
