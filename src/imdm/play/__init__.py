"""Models that write for a person: in the terminal, or two side by side on a page of this machine."""
