"""What the tests of the cluster profile need: a Slurm of one node, and faults to put a run through."""
