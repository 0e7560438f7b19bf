"""The plan of a trajectory: orders of unmasking, slices against the states themselves, few shapes, one transfer to the host."""

import pytest
import torch

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.states import is_masked
from imdm.sampling.plan import dilated_order, even_steps, make_plan
from imdm.sampling.sampler import sample
from networks import small_network
from waits import Waits


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


def test_even_steps_sort_masked_positions_alone():
    masked = torch.tensor([[True, False, True, True], [False, False, False, True]])
    assert torch.equal(even_steps(torch.tensor([3, 0, 2, 1]), masked, 3)[masked], torch.tensor([2, 1, 0, 0]))
    assert torch.equal(even_steps(torch.tensor([0.9, 0.1, 0.3, 0.2]), masked, 2)[masked], torch.tensor([1, 0, 0, 0]))


def some_steps(rows: int, length: int, steps: int, seed: int = 0) -> torch.Tensor:
    """Rows of which some are partly or wholly visible."""
    generator = torch.Generator().manual_seed(seed)
    at = torch.randint(steps, (rows, length), generator=generator)
    visible = torch.rand(rows, length, generator=generator) < torch.linspace(-0.5, 1.2, rows)[:, None]
    return torch.where(visible, -1, at)


@pytest.mark.parametrize(("rows", "length", "steps"), [(1, 1, 1), (5, 7, 1), (17, 6, 3), (40, 9, 50), (3, 4, 1000)])
def test_calls_are_the_events_of_each_row(rows, length, steps):
    """Row by row in plain Python: the k-th call takes the k-th distinct step, and has what comes later still masked."""
    at = some_steps(rows, length, steps)
    plan = make_plan(at, steps)
    events = [sorted(set(row) - {-1}) for row in at.tolist()]
    assert plan.needed.tolist() == [len(row) for row in events] and len(plan.calls) == max(map(len, events))
    assert sorted(plan.rows.tolist()) == list(range(rows))
    flat, places = at[plan.rows].flatten(), [events[row] for row in plan.rows.tolist()]
    for k, call in enumerate(plan.calls):
        active = [place for place, row in enumerate(places) if len(row) > k]
        assert active == list(range(len(active))) and len(active) <= call.rows
        assert [plan.steps[place, k].item() for place in active] == [places[place][k] for place in active]
        chosen = {p * length + i for p in active for i in range(length) if flat[p * length + i] == places[p][k]}
        masked = {p * length + i for p in active for i in range(length) if flat[p * length + i] >= places[p][k]}
        assert set(plan.order[call.first : call.last].tolist()) == chosen and call.last - call.first == len(chosen)
        assert set(plan.order[call.first :].tolist()) == masked and len(plan.order) - call.first == len(masked)
    first = {position for row, own in zip(at.tolist(), events) for position in range(length) if own and row[position] == own[0]}
    assert set(plan.opened.tolist()) == first and len(plan.opened) == len(first)


def test_nothing_masked_needs_no_calls():
    plan = make_plan(torch.full((4, 3), -1), 5)
    assert plan.calls == [] and plan.needed.tolist() == [0, 0, 0, 0] and len(plan.opened) == 0


def test_blocks_meet_few_shapes():
    for steps in (8, 1000):
        calls = make_plan(some_steps(100, 60, steps), steps).calls
        assert len({call.rows for call in calls}) <= 16
        assert all(call.rows in range(7, 99, 7) or call.rows == 100 for call in calls)
    full = make_plan(torch.randint(4, (64, 128), generator=torch.Generator().manual_seed(0)), 4)
    assert [call.rows for call in full.calls] == 4 * [64]


@pytest.mark.parametrize("mask", ["single", "infinite"])
def test_the_network_is_told_where_its_masks_are(mask):
    network = small_network(mask=mask)
    original, seen = network.hidden, 0

    def hidden(z, latent=None, masked=None):
        nonlocal seen
        seen += 1
        if masked is not None:
            assert torch.equal(masked.sort().values, is_masked(z, 7).flatten().nonzero().squeeze(1))
        return original(z, latent=latent, masked=masked)

    network.hidden = hidden
    visible = torch.rand(40, 5) < 0.4, torch.zeros(40, 5, dtype=torch.int64)
    for given in (visible, None):
        sample(network, row_seeds(1, 0, 40), 4, visible=given)
    assert seen > 4


@pytest.mark.parametrize("changes", [{}, {"mask": "finite"}, {"mask": "single"}, {"mask": "single", "latent_hidden": 8}])
@pytest.mark.parametrize("given", [True, False])
def test_the_host_waits_once(changes, given, monkeypatch):
    network, lists = small_network(**changes), []
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: lists.append(len(tensor)) or original(tensor))
    for name in ("item", "cpu", "numpy", "__bool__", "__int__", "__float__"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_, name=name: pytest.fail(f"Tensor.{name}"))
    visible = (torch.arange(60).view(12, 5) % 3 == 0, torch.zeros(12, 5, dtype=torch.int64)) if given else None
    with Waits() as waits:
        sample(network, row_seeds(1, 0, 12), 4, visible=visible)
    assert waits.found == [] and len(lists) == 1


def test_the_count_of_waits_sees_them():
    with Waits() as waits:
        x = torch.arange(4)
        x[x > 1], x.nonzero(), x.unique(), x.sum().item()
        x[x > 1] = 0
    assert len(waits.found) >= 5
