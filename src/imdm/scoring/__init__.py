"""Scoring of samples: Gen-PPL by a judge, entropy, diversity, MAUVE, intervals."""
