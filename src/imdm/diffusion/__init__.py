"""Mask states as integers, noise from their keys, the schedule, the posterior and the NELBO."""
