"""The orders in which positions are unmasked."""

import pytest
import torch

from imdm.sampling.order import dilated_order, even_steps, places


@pytest.mark.parametrize("length", [1, 2, 3, 8, 24, 32, 33, 100])
def test_dilated_positions_of_a_step_lie_far_apart(length):
    """A permutation; what is unmasked first of a power of two are its multiples, and every other step has no neighbours either."""
    order, masked = dilated_order(length), torch.ones(1, length, dtype=torch.bool)
    assert torch.equal(order.sort().values, torch.arange(length))
    for distance in (1, 2, 4, 8):
        first = (order < -(-length // distance)).nonzero().squeeze(1)
        assert torch.equal(first, torch.arange(0, length, distance))
        at = even_steps(order, masked, 2 * distance)[0]
        assert all((at == step).nonzero().squeeze(1).diff().ge(2).all() for step in range(2 * distance))


def test_places_count_masked_positions_alone():
    masked = torch.tensor([[True, False, True, True], [False, False, False, True]])
    assert torch.equal(places(torch.tensor([3, 0, 2, 1]), masked)[masked], torch.tensor([2, 1, 0, 0]))
    at = even_steps(torch.tensor([0.9, 0.1, 0.3, 0.2]), masked, 2)
    assert torch.equal(at[masked], torch.tensor([1, 0, 0, 0]))
