"""Tables, figures and the single-file report of a run."""
