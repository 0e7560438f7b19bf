"""Distillation: a method is one file, its target, loss and training; and couplings."""
