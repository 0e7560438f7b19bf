"""The paper's tables and figures: what each needs of a run, and how it is made from that."""
