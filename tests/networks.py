"""Small networks for tests."""

import torch

from imdm.network.config import NetworkConfig
from imdm.network.network import Network

SMALL = dict(vocab_size=7, mask_id=3, seq_len=5, hidden_size=16, blocks=2, heads=2, cond_dim=8, dropout=0.0, noise_dim=6)


def small_network(seed: int = 0, random: bool = True, **changes) -> Network:
    """A network in eval mode; `random` fills all weights, so that gates, head and mask MLP do something."""
    torch.manual_seed(seed)
    network = Network(NetworkConfig(**(SMALL | changes)))
    if random:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return network.eval()
