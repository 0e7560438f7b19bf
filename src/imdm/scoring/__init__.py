"""What samples are worth: Gen-PPL, entropy, diversity, MAUVE, each with its interval."""
