"""Is the gain memorization? What samples share with couplings and training text, and how a learned map fares on unseen pairs."""

REAL = "test text"  # held-out text, among the models of a table
