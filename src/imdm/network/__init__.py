"""The network, its mask embeddings, its moving average and its files."""
