"""Distillation: SDTT's targets, couplings and ReDi."""
