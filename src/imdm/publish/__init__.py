"""Public checkpoints in, exported models out."""
