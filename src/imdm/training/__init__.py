"""Trainings: every step is a function of (seed, step), and the loop that resumes them."""
