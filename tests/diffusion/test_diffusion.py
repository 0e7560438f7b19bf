"""Keys, noise, schedule, posterior and NELBO against analytic values and scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from imdm.diffusion.counter import Stream, bits, mix, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised, forward_process, weighted_nll
from imdm.diffusion.noise import carried_uniform, noise
from imdm.diffusion.posterior import keep_probability, posterior_rows, unmask_probability
from imdm.diffusion.schedule import alpha, nelbo_weight, stratified_times, time_grid
from imdm.diffusion.states import KEY_BITS, initial_masks, is_masked, key_of, mask_where

times = st.floats(1e-3, 1.0)


def test_splitmix64_reference_values():
    """First outputs of SplitMix64 seeded with 0, as published with the generator."""
    golden = 0x9E3779B97F4A7C15
    state = torch.tensor([(golden * k) % 2**64 - (2**64 if (golden * k) % 2**64 >= 2**63 else 0) for k in (1, 2, 3)])
    found = [int(value) % 2**64 for value in mix(state)]
    assert found == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_bits_do_not_depend_on_how_coordinates_are_given():
    seeds = row_seeds(root_seed(3, "x"), 0, 5)
    as_tensor = bits(seeds[:, None], Stream.TOKEN, torch.arange(4))
    assert torch.equal(as_tensor[:, 2], bits(seeds, Stream.TOKEN, 2))
    assert torch.equal(row_seeds(9, 0, 10)[4:7], row_seeds(9, 4, 3))
    assert len(bits(torch.tensor(1), Stream.KEY, torch.arange(100_000)).unique()) == 100_000


def test_uniform_is_uniform_and_open():
    u = uniform(bits(torch.tensor(7), Stream.LEVEL, torch.arange(200_000)))
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3
    assert uniform(torch.tensor([0, -1])).tolist() == [2.0**-53, 1 - 2.0**-53]


@pytest.mark.parametrize(("dist", "reference"), [("uniform", stats.uniform(-1, 2)), ("gaussian", stats.norm()), ("rademacher", None)])
def test_noise_has_its_distribution(dist, reference):
    eps = noise(bits(torch.tensor(1), Stream.KEY, torch.arange(2000)), 70, dist)
    assert eps.dtype == torch.float32
    if reference:
        assert stats.kstest(eps.double().flatten().numpy(), reference.cdf).pvalue > 1e-3
    else:
        assert set(eps.unique().tolist()) == {-1.0, 1.0} and eps.mean(0).abs().max() < 5 / 2000**0.5
    across = np.corrcoef(eps.numpy(), rowvar=False) - np.eye(70)
    assert np.abs(across).max() < 5 / np.sqrt(2000)
    assert torch.equal(noise(torch.arange(3), 8, dist, 2.0), 2 * noise(torch.arange(3), 8, dist))


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 6))
def test_noise_is_the_same_for_every_shape(dim, rows, columns):
    keys = initial_masks(row_seeds(11, 0, rows), columns, 0)
    whole = noise(keys, dim)
    assert torch.equal(whole[0, 0], noise(keys[0, 0], dim))
    assert torch.equal(whole.flatten(0, 1), noise(keys.flatten(), dim))
    assert torch.equal(noise(keys, dim + 3)[..., :dim], whole)


def test_a_key_carries_its_uniform_in_the_second_noise_coordinate():
    keys = initial_masks(row_seeds(5, 0, 50), 7, 0)
    shown = (noise(keys, 9)[..., 1].double() + 1) / 2  # the middle of the 2^-16 in which u lies
    assert ((carried_uniform(keys) - shown).abs() <= 2.0**-17).all()


def test_signs_show_the_bits_of_what_a_key_carries():
    keys = key_of(initial_masks(row_seeds(5, 0, 500), 6, 0), 0).flatten()
    shown = (noise(keys, 32, "rademacher") > 0).double()
    rest = carried_uniform(keys) - shown[:, 16:] @ 2.0 ** -torch.arange(1, 17, dtype=torch.float64)
    assert (rest > 0).all() and (rest < 2.0**-16).all()


def test_what_a_key_carries_is_uniform_below_its_sixteen_bits_too():
    value = carried_uniform(key_of(initial_masks(row_seeds(7, 0, 5000), 4, 0), 0).flatten())
    assert stats.kstest(value.numpy(), "uniform").pvalue > 1e-4
    assert stats.kstest((value * 2**16 % 1).numpy(), "uniform").pvalue > 1e-4


def test_states_are_disjoint_from_tokens():
    z = initial_masks(row_seeds(5, 0, 64), 64, 50258)
    assert is_masked(z, 50258).all() and (key_of(z, 50258) >= 0).all() and (key_of(z, 50258) < 2**KEY_BITS).all()
    assert len(z.unique()) == z.numel()
    x = torch.arange(64).expand(64, 64)
    mask = x % 3 == 0
    mixed = mask_where(x, mask, row_seeds(5, 0, 64), 50258)
    assert torch.equal(mixed[~mask], x[~mask]) and torch.equal(mixed[mask], z[mask])


@given(times, st.floats(0, 1), st.integers(2, 9))
def test_posterior_rows_sum_to_one(t, share, vocab):
    t = torch.tensor(t, dtype=torch.float64)
    rows = posterior_rows(torch.softmax(torch.randn(3, vocab, dtype=torch.float64), -1), t, t * share)
    assert rows.min() >= 0
    assert torch.allclose(rows.sum(-1), torch.ones(3, dtype=torch.float64), atol=1e-12)


@given(times, st.floats(0, 1), st.floats(0, 1))
def test_posterior_composes(t, a, b):
    """Two steps unmask, and keep a key, as one step over both does."""
    t = torch.tensor(t, dtype=torch.float64)
    u, s = t * max(a, b), t * min(a, b)
    assert torch.isclose(keep_probability(t, u) * keep_probability(u, s), keep_probability(t, s))
    stays = (1 - unmask_probability(t, u)) * (1 - unmask_probability(u.clamp(min=1e-12), s.clamp(max=u.clamp(min=1e-12))))
    assert torch.isclose(stays, 1 - unmask_probability(t, s), atol=1e-9)
    assert torch.isclose(unmask_probability(t, s), 1 - s / t, atol=1e-9)


def test_keep_probability_on_the_uniform_grid():
    """kappa_i = i / (i + 1) but for the schedule's epsilon."""
    grid = time_grid(8, torch.ones(1, dtype=torch.float64))[0]
    kappa = keep_probability(grid[:-1], grid[1:])
    assert torch.allclose(kappa, torch.arange(8) / (torch.arange(8) + 1.0).double(), atol=8.1e-3)
    assert kappa[0] == pytest.approx(0.0079, abs=1e-4)


def test_weight_is_the_schedule_derivative():
    t = torch.linspace(0.01, 1, 50, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(alpha(t).sum(), t)
    assert torch.allclose(-slope / (1 - alpha(t)), nelbo_weight(t))


@given(st.floats(0.001, 0.999), st.integers(1, 50))
def test_times_are_stratified(offset, count):
    t = stratified_times(torch.tensor(offset, dtype=torch.float64), count, floor=0.0)
    assert torch.equal((t * count).floor().long().clamp(max=count - 1).sort().values, torch.arange(count))


def test_forward_process_masks_at_its_level_and_does_not_depend_on_the_split_of_a_batch():
    x = torch.arange(64 * 200).view(64, 200) % 17
    whole = forward_process(x, 5, 3, 0, 64, 18)
    halves = [forward_process(part, 5, 3, first, 64, 18) for first, part in ((0, x[:32]), (32, x[32:]))]
    assert torch.equal(whole.z, torch.cat([half.z for half in halves]))
    assert torch.equal(whole.t, torch.cat([half.t for half in halves]))
    share = is_masked(whole.z, 18).double().mean(1)
    assert (share - (1 - alpha(whole.t))).abs().max() < 5 * 0.5 / np.sqrt(200)
    assert not torch.equal(forward_process(x, 5, 4, 0, 64, 18).z, whole.z)


def test_counted_masks_have_each_number_equally_often_and_do_not_depend_on_the_split_of_a_batch():
    x = torch.arange(60 * 20).view(60, 20) % 17
    whole = forward_process(x, 5, 3, 0, 60, 18, counted=True)
    halves = [forward_process(part, 5, 3, first, 60, 18, counted=True) for first, part in ((0, x[:32]), (32, x[32:]))]
    assert torch.equal(whole.z, torch.cat([half.z for half in halves]))
    numbers = is_masked(whole.z, 18).sum(1)
    assert torch.equal(numbers.bincount(minlength=21), torch.tensor([0] + 20 * [3]))
    assert torch.equal(whole.t, numbers.double() / 20)


def test_counted_masks_have_the_nelbos_expectation_at_less_variance():
    """Of losses that any set of masked positions may have: the integral over t of P(set | t) times their sum over t."""
    length, draws = 4, 200_000
    losses = torch.rand(2**length, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sizes = torch.tensor([bin(s).count("1") for s in range(2**length)])
    t = (torch.arange(100_000, dtype=torch.float64)[:, None] + 0.5) / 100_000
    integrand = t ** (sizes[None, 1:] - 1) * (1 - t) ** (length - sizes[None, 1:]) * sizes[1:] * losses[1:]
    values = {}
    for counted in (False, True):
        batch = forward_process(torch.zeros(draws, length, dtype=torch.int64), 1, 0, 0, draws, 10, counted)
        sets = (is_masked(batch.z, 10) * 2 ** torch.arange(length)).sum(1)
        values[counted] = sizes[sets] * losses[sets] / batch.t
    error = values[True].std() / draws**0.5
    assert abs(values[True].mean() - integrand.sum(1).mean()) < 5 * error
    assert values[True].var() < values[False].var() / 10


def test_weighted_nll_is_the_dense_formula():
    x = torch.randint(0, 9, (6, 11))
    batch = forward_process(x, 1, 0, 0, 6, 10)
    logits = torch.randn(6, 11, 10, dtype=torch.float64)
    dense = -torch.log_softmax(logits, -1).gather(-1, x[..., None])[..., 0] / batch.t[:, None]
    expected = (dense * is_masked(batch.z, 10)).sum() / x.numel()
    found = weighted_nll(logits.flatten(0, 1)[batch.masked], Noised(batch.z, x, batch.masked, batch.t))
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)
