"""From a run's artifacts to one tidy table, and from that to every table, figure and page."""
