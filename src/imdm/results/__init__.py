"""From the results of a run's stages to one tidy table, and from it every table, figure and page."""
