"""Muon beside AdamW: which weights each one moves, how far, and that a checkpoint goes on with both."""

import copy

import pytest
import torch

from imdm.diffusion.nelbo import forward_process
from imdm.network.head_loss import nelbo
from imdm.training.muon import MuonAdamW, block_matrices
from networks import small_network

LR = 1e-2


def step(network, optimizer, seed: int) -> None:
    x = torch.randint(0, 3, (8, 5), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    nelbo(network, forward_process(x, seed, 0, 0, 8, network.config.vocab_size)).backward()
    optimizer.step()


@pytest.fixture
def network():
    network = small_network(0, mask="infinite").train()
    step(network, torch.optim.AdamW(network.parameters(), LR), 9)  # the gates open: a block at its start has no gradient
    return network


def test_matrices_of_blocks_move_by_muon_and_all_else_by_adamw(network):
    """A matrix's step has about AdamW's root mean square, 0.2 of the learning rate, and nearly equal singular values."""
    alone = copy.deepcopy(network)
    step(alone, torch.optim.AdamW(alone.parameters(), LR, weight_decay=0.0, fused=True), 0)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    step(network, MuonAdamW(network, LR, 0.0), 0)
    matrices = {id(weight) for weight in block_matrices(network)}
    assert len(matrices) == 4 * network.config.blocks
    for (name, weight), other in zip(network.named_parameters(), alone.parameters()):
        if id(weight) not in matrices:
            torch.testing.assert_close(weight, other, rtol=0, atol=0)
            continue
        moved = weight.detach() - before[name]
        values = torch.linalg.svdvals(moved)
        assert values[len(values) // 2] < 2 * values[len(values) // 4]
        assert 0.1 * LR < moved.square().mean().sqrt() < 0.3 * LR


def test_a_checkpoint_goes_on_with_both(network):
    optimizer = MuonAdamW(network, LR, 0.1)
    for seed in range(3):
        step(network, optimizer, seed)
    other = copy.deepcopy(network)
    resumed = MuonAdamW(other, 5.0, 0.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, state in ((network, optimizer), (other, resumed)):
        state.param_groups[0]["lr"] = LR / 2  # as the loop sets it
        step(each, state, 3)
    for one, two in zip(network.parameters(), other.parameters()):
        assert torch.equal(one, two)
