"""sample, complete, match, reference and score together, on a small network and judge in this process."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from scipy import stats

import judges
import script
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.network.checkpoint import save_network
from imdm.params import Scoring
from imdm.sampling.files import load_samples
from imdm.sampling.generate import Sampler
from imdm.scoring import metrics as rows
from imdm.scoring.judge import load_judge
from imdm.scoring.metrics import judge_samples
from imdm.scoring.reference import load_real
from networks import small_network
from script import made

SETS = ("conditional.scored_tokens=10", "matching.tolerance=0.01", "matching.count=32")


def stage(name: str, out: Path, *sets: str, **inputs: Path) -> Path:
    """The folder that a stage makes of these inputs."""
    return made(name, out, *(part for flag, path in inputs.items() for part in (f"--{flag}", path)), sets=(*SETS, *sets))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with judge, reference, model, samples of it at two temperatures, and all their scores."""
    run = tmp_path_factory.mktemp("run")
    dataset = judges.make_dataset(run / "data")
    data = Dataset.open(dataset)
    judge = judges.make_judge(run / "judge")
    network = small_network(vocab_size=data.vocab_size, mask_id=data.mask_id, seq_len=data.seq_len, tokenizer_sha256=data.tokenizer_sha256)
    model = run / "teacher" / "model.safetensors"
    model.parent.mkdir()
    save_network(model, network)
    stage("reference", run / "reference", data=dataset, judge=judge)
    stage("sample", run / "samples", model=model)
    stage("sample", run / "cool", "sampling.temperature=0.8", model=model)
    stage("complete", run / "completions", data=dataset, model=model)
    for name in ("samples", "cool", "completions"):
        stage("score", run / f"{name}-scores", **inputs(run, name))
    return run


def inputs(run: Path, name: str) -> dict[str, Path]:
    """What the scores of some samples are made of."""
    paths = {"data": run / "data/dataset.json", "judge": run / "judge/judge.json", "reference": run / "reference/reference.json"}
    return paths | {"samples": run / name / "samples.safetensors"}


def read(run: Path, name: str) -> tuple[dict, pd.DataFrame]:
    scores = json.loads((run / f"{name}-scores" / "scores.json").read_text())
    return scores, pd.read_parquet(run / f"{name}-scores" / "per_sample.parquet")


@pytest.mark.parametrize(("name", "task", "texts", "end"), [("samples", "unconditional", 32, 12), ("completions", "conditional", 32, 10)])
def test_scores_are_those_of_the_samples(run, name, task, texts, end):
    scores, table = read(run, name)
    assert (scores["task"], scores["model"], scores["precision"]) == (task, "teacher", "float32")
    assert scores["temperature"] == {"1": 1.0, "2": 1.0} and scores["corpus"] == {"name": "files", "source": None}
    about = {"name": "trained judge", "precision": "float32", "revision": None, "held_out_perplexity": judges.HELD_OUT}
    assert scores["judge"] == about | {"retokenize": True, "clean_up": False}
    samples = load_samples(run / name / "samples.safetensors", Dataset.open(run / "data/dataset.json"))
    for steps in (1, 2):
        part, tokens = table[table["steps"] == steps], samples.tokens[steps]
        assert len(part) == len(tokens) == texts
        expected = [stats.entropy(np.unique(row, return_counts=True)[1]) for row in tokens[:, :end]]
        np.testing.assert_allclose(part["entropy"], expected)
        found = {row["metric"]: row["value"] for row in scores["rows"] if row["steps"] == steps}
        assert found["entropy"] == pytest.approx(np.mean(expected)) and found["entropy"] == scores["metrics"]["entropy"][str(steps)]
        assert found["gen_ppl"] == pytest.approx(math.exp(part["nll"].sum() / part["tokens"].sum()))


def test_completions_are_compared_with_their_prompts_own_text(run):
    from mauve import compute_mauve

    data = Dataset.open(run / "data/dataset.json")
    tree = json.loads((run / "reference/reference.json").read_text())["conditional"]
    samples = load_samples(run / "completions/samples.safetensors", data)
    assert tree["count"] == 16 and tree["settings"] == samples.about["conditional"]
    judge, blocks = load_judge(run / "judge/judge.json"), data.split("valid")
    tokens = samples.tokens[1]
    prompts = tokens[::2, :4]
    assert np.array_equal(prompts, tokens[1::2, :4])
    own = np.stack([next(block for block in blocks if np.array_equal(block[:4], prompt)) for prompt in prompts])
    real, drawn = (judge_samples(judge, texts[:, :10], data.tokenizer(), Scoring()) for texts in (own, tokens))
    assert tree["gen_ppl"]["value"] == pytest.approx(math.exp(real.nll.sum() / real.tokens.sum()), rel=1e-5)
    expected = compute_mauve(p_features=real.features, q_features=drawn.features, seed=1, mauve_scaling_factor=5.0).mauve
    assert read(run, "completions")[0]["metrics"]["mauve"]["1"] == pytest.approx(expected, rel=1e-3)


def test_the_reference_is_real_text_judged_once(run):
    tree, tensors = json.loads((run / "reference/reference.json").read_text()), load_file(run / "reference/reference.safetensors")
    for name in ("unconditional", "conditional"):
        part = {key.partition(".")[2]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        assert len(part["nll"]) == len(part["features"]) == tree[name]["count"]
        assert tree[name]["gen_ppl"]["value"] == pytest.approx(math.exp(part["nll"].sum() / part["tokens"].sum()))
        assert tree[name]["entropy"]["low"] < part["entropy"].mean() < tree[name]["entropy"]["high"]
    short = stage("reference", run / "short", "conditional.prompts=41", data=run / "data/dataset.json", judge=run / "judge/judge.json")
    assert json.loads((short / "reference.json").read_text())["conditional"] is None


@pytest.mark.parametrize(
    ("change", "key"),
    [("scoring.max_tokens=5", "settings"), ("scoring.clean_up=true", "settings"), ("scoring.precision=bfloat16", "judge")],
)
def test_a_reference_of_other_settings_is_refused(run, tmp_path, change, key):
    flags = [part for flag, path in inputs(run, "samples").items() for part in (f"--{flag}", path)]
    done = script.run("score", *flags, "--out", tmp_path / "out", sets=[*SETS, change])
    assert done.returncode == 2 and f"reference.json was made with {key} {{" in done.stderr


def test_a_reference_of_other_prompts_is_refused(run):
    common = {key: json.loads((run / "reference/reference.json").read_text())[key] for key in ("judge", "settings")}
    samples = load_samples(run / "completions/samples.safetensors", Dataset.open(run / "data/dataset.json"))
    real = load_real(run / "reference/reference.json", common, samples.about["conditional"])
    assert real.features.shape == (16, 16) and real.ids.shape == (16, 10)
    with pytest.raises(UserError, match="was made with prompts .*run reference again"):
        load_real(run / "reference/reference.json", common, samples.about["conditional"] | {"seed": 9})


def test_a_model_is_matched_to_its_cooler_self(run, tmp_path):
    target, model = run / "cool-scores/scores.json", run / "teacher/model.safetensors"
    stage("match_entropy", run / "matched", target=target, model=model)
    stage("score", run / "matched-scores", **inputs(run, "matched"))
    scores, _ = read(run, "matched")
    wanted = json.loads(target.read_text())["metrics"]["entropy"]
    assert scores["task"] == "matched" and scores["matching"]["target"] == "teacher"
    for steps in ("1", "2"):
        found = scores["matching"]["steps"][steps]
        assert found["bound"] is None and found["target"] == wanted[steps]
        # the trials have as many samples as the rest, so that what was reached is what is scored
        assert scores["metrics"]["entropy"][steps] == pytest.approx(found["reached"]) == pytest.approx(wanted[steps], abs=0.01)
    hot = stage("match_entropy", tmp_path / "hot", "matching.low=1.5", target=target, model=model)
    about = load_samples(hot / "samples.safetensors", Dataset.open(run / "data/dataset.json")).about
    assert {step["bound"] for step in about["matching"]["steps"].values()} == {"low"} and about["temperature"] == {"1": 1.5, "2": 1.5}


def test_an_interrupted_match_goes_on_where_it_was(run, tmp_path, monkeypatch):
    make, made, stop = Sampler.draw, [], [0, 5]

    def counting(sampler, *key):
        if len(made) in stop:
            stop.remove(len(made))
            raise KeyboardInterrupt
        made.append(key)
        return make(sampler, *key)

    def match(out: str) -> bytes:
        target = run / "cool-scores/scores.json"
        matched = stage("match_entropy", tmp_path / out, "sampling.batch_size=16", target=target, model=model)
        return (matched / "samples.safetensors").read_bytes()

    model = run / "teacher/model.safetensors"
    monkeypatch.setattr(Sampler, "draw", counting)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            match("stopped")
    stopped = match("stopped")
    calls = len(made)
    assert match("whole") == stopped and len(made) == 2 * calls  # no chunk was made twice


@pytest.mark.parametrize(("name", "calls"), [("score", 2), ("reference", 2)])
def test_an_interrupted_judgement_goes_on_where_it_was(run, tmp_path, monkeypatch, name, calls):
    given = {flag: path for flag, path in inputs(run, "samples").items() if name == "score" or flag in ("data", "judge")}
    whole, judged, judge = run / {"score": "samples-scores", "reference": "reference"}[name], [], rows.judge_samples

    def judging(*arguments):
        if len(judged) == 1:
            judged.append(None)
            raise KeyboardInterrupt
        judged.append(judge(*arguments))
        return judged[-1]

    monkeypatch.setattr(rows, "judge_samples", judging)
    with pytest.raises(KeyboardInterrupt):
        stage(name, tmp_path / "out", **given)
    stage(name, tmp_path / "out", **given)
    assert len(judged) == calls + 1
    for file in whole.glob("*.json" if name == "score" else "*.safetensors"):
        if file.name != "meta.json":
            assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_the_frontier_goes_through_the_usual_samples(run, tmp_path):
    """Those of stage sample are the first of one that has more; its rows say what its samples are worth."""
    paths = {"data": run / "data/dataset.json", "judge": run / "judge/judge.json", "model": run / "teacher/model.safetensors"}
    stage("frontier", tmp_path / "out", "frontier.temperatures=[0.8,2.0]", **paths)
    table, tree = pd.read_parquet(tmp_path / "out/per_sample.parquet"), json.loads((tmp_path / "out/frontier.json").read_text())
    assert tree["model"] == "teacher" and tree["sampled_at"] == 1.0 and tree["judge"] == read(run, "samples")[0]["judge"]
    for name, temperature in (("samples", 1.0), ("cool", 0.8)):
        usual = read(run, name)[1].query("sample < 16")
        found = table.query(f"temperature == {temperature}")
        assert len(found) == len(usual) == 32
        np.testing.assert_array_equal(found[["steps", "sample", "entropy"]], usual[["steps", "sample", "entropy"]])
        np.testing.assert_allclose(found["nll"], usual["nll"], rtol=1e-5)
    assert len(tree["rows"]) == 2 * 3 * 2  # steps, temperatures, metrics
    for row in tree["rows"]:
        part = table.query(f"steps == {row['steps']} and temperature == {row['temperature']}")
        value = part["entropy"].mean() if row["metric"] == "entropy" else math.exp(part["nll"].sum() / part["tokens"].sum())
        assert row["value"] == pytest.approx(value) and row["low"] <= row["value"] <= row["high"]
