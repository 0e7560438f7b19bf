"""The {00, 11} task of the paper's Tables 1 and 2: the smallest text that one MDM step can't write."""
