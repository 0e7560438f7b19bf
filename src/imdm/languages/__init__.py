"""Texts whose every probability is exact: {00, 11} of the paper's Tables 1 and 2, dictionaries between it and text, a Markov chain."""
