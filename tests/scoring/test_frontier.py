"""Gen-PPL at equal entropy: interpolation by hand, its intervals, and the frontier of networks whose curve is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from imdm.errors import UserError
from imdm.network.network import Network
from imdm.params import load_params
from imdm.results.collect import equal_entropy
from imdm.results.frame import RATIO, Number, decided, frame_of, one, select
from imdm.results.table import digits, value_cell
from imdm.sampling.generate import Sampler
from imdm.scoring.bootstrap import resamples
from imdm.scoring.diversity import entropy
from imdm.scoring.frontier import Frontier, at_entropy, end_of, interval, pooled, with_resamples
from networks import small_network
from script import MICRO


def by_hand(entropies: list[float], log_ppl: list[float], temperatures: list[float] | None = None) -> Frontier:
    """A frontier without resamples."""
    return Frontier(np.array(temperatures or range(1, len(entropies) + 1), float), np.array([entropies]), np.array([log_ppl]))


def read(frontier: Frontier, target: float) -> float:
    return at_entropy(frontier, np.array([target]))[0][0]


@pytest.mark.parametrize(
    ("entropies", "log_ppl", "found"),
    [
        ([2.0, 2.3, 2.9, 3.4], [9.0, 10.2, 12.6, 14.6], {value: 1 + 4 * value for value in (2.0, 2.1, 2.3, 2.75, 3.4)}),  # log-linear
        ([2.0, 2.5, 3.0], [1.0, 2.0, 4.0], {1.999: -math.inf, 3.001: math.inf}),  # nothing is extrapolated
        ([2.0, 2.6, 2.4, 3.0], [1.0, 2.0, 4.0, 5.0], {2.5: 3.0, 2.25: 2.0, 2.75: 4.0}),  # the two in the middle count as one at (2.5, 3)
        ([2.5, 2.4, 2.3], [1.0, 2.0, 3.0], {2.39: -math.inf, 2.4: 2.0, 2.41: math.inf}),  # no order at all: one point
    ],
)
def test_curves_by_hand(entropies, log_ppl, found):
    curve = by_hand(entropies, log_ppl)
    assert [read(curve, target) for target in found] == pytest.approx(list(found.values()))


def test_between_two_temperatures_the_logarithms_are_interpolated():
    curve = by_hand([3.0, 3.2], [math.log(100), math.log(400)], [0.5, 2.0])
    log_ppl, log_temperature = at_entropy(curve, np.array([3.1]))
    assert math.exp(log_ppl[0]) == pytest.approx(200) and math.exp(log_temperature[0]) == pytest.approx(1.0)
    assert (end_of(curve, above=False), end_of(curve, above=True)) == pytest.approx((math.log(100), math.log(400)))


@given(values=st.lists(st.floats(0, 4), min_size=2, max_size=8), data=st.data())
@settings(deadline=None)
def test_pooling_keeps_means_and_orders_entropies(values, data):
    entropies, log_ppl = np.array(values), np.array(data.draw(st.lists(st.floats(0, 9), min_size=len(values), max_size=len(values))))
    x, y = pooled(entropies, log_ppl)
    assert (np.diff(x) >= -1e-12).all() and entropies.min() - 1e-12 <= x[0] and x[-1] <= entropies.max() + 1e-12
    if (np.diff(entropies) > 0).all():
        assert x is entropies and y is log_ppl
    target = data.draw(st.floats(0, 4))
    found = read(by_hand(values, list(log_ppl)), target)
    assert math.isinf(found) == (not x[0] <= target <= x[-1])
    assert math.isinf(found) or log_ppl.min() - 1e-9 <= found <= log_ppl.max() + 1e-9


def test_intervals_have_open_ends_where_resamples_are_out_of_reach():
    inside = np.linspace(0, 1, 1001)
    assert interval(inside) == pytest.approx((0.025, 0.975))
    assert interval(np.where(inside > 0.98, np.inf, inside)) == pytest.approx((0.025, 0.975))  # 2%: both ends are within
    low, high = interval(np.where(inside > 0.95, np.inf, inside))
    assert low == pytest.approx(0.025) and high is None
    low, high = interval(np.where(inside < 0.05, -np.inf, inside))
    assert low is None and high == pytest.approx(0.975)
    assert interval(np.where(inside > 0.95, np.nan, inside)) == (None, None)  # not known on which side


SLOPE, LEVEL = 3.0, 4.0  # of the population: ln Gen-PPL = LEVEL + SLOPE (H - 3)


def population(n: int, seed: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Samples at five temperatures whose entropies have means 2.8 to 3.2; noise is common to temperatures, and a little of each."""
    draw, means = np.random.default_rng(seed), np.linspace(2.8, 3.2, 5)[:, None]
    common = draw.normal(0, 0.1, (2, 1, n)) + draw.normal(0, 0.05, (2, 5, n))
    tokens = draw.integers(20, 31, (5, n)).astype(float)
    return {"nll": (LEVEL + shift + SLOPE * (means - 3) + common[0]) * tokens, "tokens": tokens, "entropy": means + common[1]}


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Of the value at a given entropy, and of the ratio of two models at that of a third, which is estimated as well."""
    covered = []
    for trial in range(120):
        picks = with_resamples(80, resamples(80, 200, trial))
        curves = [Frontier.of(np.arange(1.0, 6.0), **population(80, 3 * trial + k, 0.1 * k), picks=picks) for k in range(3)]
        alone, _ = at_entropy(curves[0], np.full(201, 3.03))
        ours, base = (at_entropy(curve, curves[2].entropy[:, 2])[0] for curve in curves[:2])
        for values, truth in ((alone, LEVEL + SLOPE * 0.03), (ours - base, -0.1)):
            low, high = interval(values[1:])
            covered.append(low <= truth <= high)
    alone, ratio = np.mean(covered[::2]), np.mean(covered[1::2])
    assert 0.89 < alone < 0.985 and 0.89 < ratio < 0.985, (alone, ratio)


# Of a run


def run_of(**levels: float):
    """frontier.json, per_sample.parquet and the data's entropies of models over MDLM's level; all have the same noise."""
    found, samples, n = {}, {}, 40
    for model, shift in levels.items():
        values = population(n, 0, shift)
        places = [{"steps": 2, "temperature": temperature} for temperature in (0.5, 0.75, 1.0, 1.5, 2.0)]
        frames = [pd.DataFrame(place | {"sample": range(n)} | {k: v[i] for k, v in values.items()}) for i, place in enumerate(places)]
        rows = [place | {"metric": metric, "value": 1.0, "low": 1.0, "high": 1.0} for place in places for metric in ("gen_ppl", "entropy")]
        found[model], samples[model] = {"sampled_at": 1.0, "rows": rows}, pd.concat(frames, ignore_index=True)
    return found, samples, np.random.default_rng(1).normal(3.1, 0.05, 60)


def at(frame: pd.DataFrame, target: str, model: str, steps: int | None = 2, metric: str = "gen_ppl") -> Number | None:
    return one(frame, kind="equal_entropy", target=target, model=model, steps=steps, metric=metric)


COMPARED = {"imdm/redi": "mdlm/redi"}


def test_numbers_at_the_teachers_and_the_datas_entropy():
    found, samples, real = run_of(**{"teacher": 0.0, "mdlm/redi": 0.2, "imdm/redi": 0.5, "imdm/sdtt1": 0.1})
    frame = frame_of(equal_entropy(found, samples, real, COMPARED))
    assert len(select(frame, kind="frontier", metric="gen_ppl", temperature=0.75)) == 4
    own = samples["teacher"].query("temperature == 1")
    teacher = at(frame, "teacher", "teacher")
    assert teacher.value == pytest.approx(math.exp(own["nll"].sum() / own["tokens"].sum()))  # its own samples have its own entropy
    assert at(frame, "teacher", "teacher", metric="temperature").value == pytest.approx(1.0)
    assert at(frame, "teacher", "teacher", metric="entropy").value == pytest.approx(own["entropy"].mean())
    assert at(frame, "data", "test text", None, "entropy").value == pytest.approx(real.mean())
    for target in ("teacher", "data"):
        ratio = at(frame, target, "imdm/redi", metric=RATIO)
        assert ratio.value == pytest.approx(math.exp(0.3)) and ratio.high - ratio.low < 1e-6  # common noise falls out
        assert decided(ratio) == "base" and ratio.against == "mdlm/redi"
        ours = at(frame, target, "imdm/redi")
        assert ours.low < ours.value < ours.high
    assert set(select(frame, metric=RATIO)["model"]) == {"imdm/redi"}


def test_an_entropy_out_of_reach_has_no_value_and_tells_its_side():
    found, samples, real = run_of(**{"teacher": 0.0, "mdlm/redi": 0.2, "imdm/redi": 0.5})
    for target, text, sign in ((real + 1, ">", 1), (real - 1, "<", -1)):
        frame = frame_of(equal_entropy(found, samples, target, COMPARED))
        row = at(frame, "data", "imdm/redi")
        end = samples["imdm/redi"].query(f"temperature == {2.0 if sign > 0 else 0.5}")
        reached = math.exp(end["nll"].sum() / end["tokens"].sum())
        assert row.value is None and (row.low, row.high) == ((pytest.approx(reached), None) if sign > 0 else (None, pytest.approx(reached)))
        assert value_cell(row).text == f"{text} {digits(reached, 'gen_ppl')}"
        for metric in ("temperature", RATIO):
            other = at(frame, "data", "imdm/redi", metric=metric)
            assert other.value is other.low is other.high is None and value_cell(other).text == "–"
        assert at(frame, "teacher", "imdm/redi").value is not None


def test_models_of_other_samples_are_refused():
    found, samples, real = run_of(**{"teacher": 0.0, "mdlm/redi": 0.2})
    samples["mdlm/redi"] = samples["mdlm/redi"].query("sample < 30")
    with pytest.raises(UserError, match="mdlm/redi has other steps, temperatures or samples"):
        equal_entropy(found, samples, real, {})


# Temperature


def biased(seq_len: int, bias: torch.Tensor) -> Network:
    """A network whose logits are one bias: in one step tokens are independent draws of a known categorical distribution."""
    network = small_network(random=False, mask="single", seq_len=seq_len)
    for parameter in network.parameters():
        parameter.data.zero_()
    network.output_layer.linear.bias.data.copy_(bias)
    return network


def test_a_uniform_models_entropy_is_that_of_balls_in_bins():
    """All tokens but the mask are equally likely at any temperature: ln L - E[k ln k] L' / L over counts k."""
    sampler = Sampler("model", biased(12, torch.zeros(7)), batch_size=4000, seed=5)
    counts = stats.binom(12, 1 / 6)  # 6 tokens
    expected = sum(6 * counts.pmf(k) * -(k / 12) * math.log(k / 12) for k in range(1, 13))
    found = [float(entropy(sampler.draw(1, temperature, 0, 4000)["tokens"].numpy()).mean()) for temperature in (0.5, 1.0, 2.0)]
    assert found[0] == found[1] == found[2] == pytest.approx(expected, abs=0.015)


def test_entropy_and_surprise_grow_with_temperature():
    bias = torch.tensor([3.0, 2.0, 1.5, 0.0, 1.0, 0.5, 0.0])
    network = biased(16, bias)
    logits = np.delete(bias.numpy(), network.config.mask_id).astype(float)  # no sample holds a mask
    sampler, temperatures = Sampler("model", network, batch_size=2000, seed=5), np.array([0.5, 1.0, 2.0])
    p = np.exp(logits) / np.exp(logits).sum()
    nll = -np.log(np.insert(p, network.config.mask_id, 1.0))
    drawn = [sampler.draw(1, temperature, 0, 2000)["tokens"].numpy() for temperature in temperatures]
    curve = Frontier.of(
        temperatures,
        np.stack([nll[tokens].sum(1) for tokens in drawn]),
        np.full((3, 2000), 16.0),
        np.stack([entropy(tokens) for tokens in drawn]),
        with_resamples(2000, resamples(2000, 10, 0)),
    )
    assert (np.diff(curve.entropy) > 0).all() and (np.diff(curve.log_ppl) > 0).all()
    for place, temperature in enumerate(temperatures):
        heated = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        assert curve.log_ppl[0, place] == pytest.approx(-(heated * np.log(p)).sum(), abs=0.02)


def test_the_usual_temperature_is_always_one_of_the_frontiers():
    assert load_params(MICRO).temperatures() == [0.5, 1.0, 2.0]
    assert load_params(MICRO, ["sampling.temperature=0.8"]).temperatures() == [0.5, 0.8, 1.0, 2.0]
