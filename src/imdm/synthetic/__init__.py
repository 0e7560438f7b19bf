"""The {00, 11} task: Tables 1 and 2 of the paper, with trainings of its own."""
