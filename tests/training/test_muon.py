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
    """A matrix moves as far along each direction of its gradient, however large that is there, by AdamW's root mean square were all
    directions in it: 0.2 of the learning rate (Liu et al., 2025)."""
    alone = copy.deepcopy(network)
    step(alone, torch.optim.AdamW(alone.parameters(), LR, weight_decay=0.0, fused=True), 0)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    step(network, MuonAdamW(network, LR, 0.0), 0)
    matrices = {id(weight) for weight in block_matrices(network)}
    assert len(matrices) == 4 * network.config.blocks
    unequal = []
    for (name, weight), other in zip(network.named_parameters(), alone.parameters()):
        if id(weight) not in matrices:
            torch.testing.assert_close(weight, other, rtol=0, atol=0)
            continue
        left, gradient, right = torch.linalg.svd(weight.grad, full_matrices=False)
        along = torch.einsum("ij,ik,kj->j", left, before[name] - weight.detach(), right.T)
        clear = gradient > 0.05 * gradient[0]  # the others, bfloat16 rounds
        unequal.append(float(gradient[0] / gradient[clear][-1]))
        far = 0.2 * LR * max(weight.shape) ** 0.5
        assert ((0.5 * far < along[clear]) & (along[clear] < 1.3 * far)).all(), (name, along / far)
    assert max(unequal) > 5  # of the gradients' directions, one is many times another


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
