"""A run's results as its stages would leave them, with invented numbers, for the tests of tables, figures and report."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from checkout import ROOT
from imdm.results.plan import output
from imdm.results.view import Cell, View
from imdm.stage.artifact import sha256
from imdm.stage.job import run_stage
from script import module

DATA = "pydocs-carry-32"
STEPS = (1, 2, 4, 8, 16)
JUDGE = {"name": "trained", "precision": "float32", "held_out_perplexity": 41.5, "retokenize": True, "clean_up": True}
RECIPES = ("sdtt3", "redi", "sdtt3-redi")
LEVEL = {"teacher": 5.6, "sdtt3": 5.3, "redi": 5.1, "sdtt3-redi": 4.8, "keyed": 5.0}  # ln Gen-PPL at one step
NOISE = ("imdm-gaussian", "imdm-d64", "imdm-d512", "imdm-s0.5", "imdm-s2", "multimask")  # variants of the ablations in params.yaml
DI4C = "mdlm/sdtt3-di4c2"
KEYED = "imdm-gumbel/keyed"
TASK = {"prompts": 8, "completions": 6, "prompt_tokens": 8, "split": "valid", "scored_tokens": 16, "seed": 0}
NASTY = '<script>alert(1)</script> & "quoted" </script> naïve café €5 日本 '
LENGTH, COUNT = 24, 48


def artifact(folder: Path, stage: str, files: dict[str, Any], *inputs: Path, **metrics: float) -> None:
    """JSON files, tables and tensors of a folder, and the meta.json that the stage harness writes beside all that lies there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name.endswith(".parquet"):
            content.to_parquet(folder / name)
        elif name.endswith(".csv"):
            content.to_csv(folder / name, index=False)
        else:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    about = {"stage": stage, "arguments": {}, "parameters": {}, "metrics": metrics, "seconds": 3.0}
    about["inputs"] = {str(path): sha256(path) for path in inputs}
    about["outputs"] = {path.name: sha256(path) for path in folder.iterdir() if path.name != "meta.json"}
    about |= {"resumed": False, "peak_memory_mib": {"host": 512.0}, "code": "0123456789abcdef", "git": "a" * 40}
    about |= {"machine": {"platform": "Linux-test", "cpus": 2, "python": "3.11.9", "gpu": None}, "libraries": {"torch": "2.13.0"}}
    (folder / "meta.json").write_text(json.dumps(about), encoding="utf-8")


def number(metric: str, value: float, half: float = 0.01, **about: Any) -> dict[str, Any]:
    return about | {"metric": metric, "value": value, "low": value - half, "high": value + half}


def rates(model: str, steps: int, nll_at_one: float) -> np.ndarray:
    """ln Gen-PPL of each sample: noise that all models share, as by common random numbers, and a little of its own."""
    own = np.random.default_rng([sum(model.encode()), steps]).normal(0, 0.05, COUNT)
    return nll_at_one - 0.28 * math.log(steps) + np.random.default_rng(steps).normal(0, 0.15, COUNT) + own


def scores(folder: Path, model: str, nll_at_one: float, entropy: float = 2.9, counts: tuple[int, ...] = STEPS, **about: Any) -> None:
    """scores.json and per_sample.parquet whose corpus-level Gen-PPL is exp(sum of nll / sum of tokens)."""
    rows, frames = [], []
    for steps in counts:
        rate = rates(model, steps, nll_at_one)
        frames.append(pd.DataFrame({"model": model, "steps": steps, "sample": range(COUNT), "nll": rate * LENGTH, "tokens": LENGTH}))
        value, spread = math.exp(rate.mean()), math.exp(1.96 * rate.std() / math.sqrt(COUNT))
        rows.append({"steps": steps, "metric": "gen_ppl", "value": value, "low": value / spread, "high": value * spread})
        more = {"gen_ppl_mean": value, "entropy": entropy + 0.0003 - 0.05 / steps, "distinct_4": 0.9}  # no exact half in the last digit
        more |= {"mauve": 1 / (1 + math.exp(nll_at_one - 4.9) / steps), "jsd_2": 0.3 + 0.1 / steps}
        rows += [number(metric, value, steps=steps) for metric, value in more.items()]
    about = {"task": "unconditional", "temperature": {str(n): 1.0 for n in counts}, "conditional": None, "matching": None} | about
    about |= {"model": model, "judge": JUDGE, "precision": "float32", "rows": rows}
    artifact(folder, "score", {"scores.json": about, "per_sample.parquet": pd.concat(frames)})


def controls(folder: Path) -> None:
    """controls.json, in which each metric but JSD prefers some control to the teacher at 16 steps."""
    values = {"held-out": (41.0, 2.95, 0.97, 0.98, 0.2), "shuffled": (900.0, 2.95, 0.01, 1.0, 0.6)}
    values |= {"5-gram": (300.0, 2.94, 0.96, 0.97, 0.5), "periodic": (30.0, 2.5, 0.004, 0.1, 0.69)}
    metrics = ("gen_ppl", "entropy", "mauve", "distinct_4", "jsd_2")
    rows = [number(m, v, model=name, steps=None) for name, row in values.items() for m, v in zip(metrics, row, strict=True)]
    artifact(folder, "controls", {"controls.json": {"judge": JUDGE, "rows": rows, "texts": dict.fromkeys(values, "a text")}})


def frontier(folder: Path, model: str, nll_at_one: float, entropy: float = 2.9) -> None:
    """frontier.json and per_sample.parquet: ln Gen-PPL and entropy grow with temperature, with draws common to all models."""
    rows, frames = [], []
    for steps, temperature in itertools.product(STEPS, (0.7, 1.0, 1.4)):
        rate = rates(model, steps, nll_at_one) + 1.2 * math.log(temperature)
        spread = entropy - 0.05 / steps + 0.3 * math.log(temperature) + np.random.default_rng([steps, 1]).normal(0, 0.02, COUNT)
        place = {"steps": steps, "temperature": temperature}
        values = {"sample": range(COUNT), "nll": rate * LENGTH, "tokens": LENGTH, "entropy": spread}
        frames.append(pd.DataFrame({"model": model} | place | values))
        rows += [number("gen_ppl", math.exp(rate.mean()), **place), number("entropy", spread.mean(), **place)]
    about = {"model": model, "precision": "float32", "sampled_at": 1.0, "judge": JUDGE, "rows": rows}
    artifact(folder, "frontier", {"frontier.json": about, "per_sample.parquet": pd.concat(frames, ignore_index=True)})


def audit(folder: Path, model: str, teacher: str | None = None) -> None:
    """audit.json of 4- and 8-grams; a rectified model has seen its teacher's pairs."""
    rows = []
    for name in dict.fromkeys((model, "teacher", "test text")):
        share = {"teacher": 0.5, "test text": 3.0}.get(name, 1.0 + 0.5 * ("imdm" in name))
        metrics = {f"{stem}_{n}_pct": share * 4 / n for stem in ("in_train", "shared") for n in (4, 8)}
        metrics |= {"nearest_block_pct": share, "nearest_block_q95_pct": 2 * share, "nearest_block_max_pct": 4 * share}
        if teacher:
            metrics |= {"in_couplings_4_pct": share, "in_couplings_8_pct": share / 2, "nearest_coupling_pct": 10 + share}
        for steps in (None,) if name == "test text" else STEPS:
            rows += [number(metric, value, 0.1, model=name, steps=steps) for metric, value in metrics.items()]
    for name in dict.fromkeys((model, teacher or model)):
        seen = 2.0 if teacher and name == model else 4.0
        metrics = {"nll_unseen_own": 5.0, "nll_unseen_fresh": 5.0, "noise_gap_unseen": 0.0, "equal_unseen_own_pct": 12.0}
        metrics |= {"nll_seen_own": seen, "nll_seen_fresh": seen + 0.2, "noise_gap_seen": 0.2, "pair_gap": 5 - seen} if teacher else {}
        rows += [number(metric, value, 0.1, model=name, steps=None) for metric, value in metrics.items()]
    artifact(folder, "audit", {"audit.json": {"model": model, "teacher": teacher or model, "split": "test", "rows": rows}})


def synthetic(folder: Path) -> None:
    """synthetic.json of five seeds with values that are easy to average."""
    rows = []
    for seed in range(5):
        for model, share, error, kl in (("mdm", 49.8, 0.693, 0.693), ("imdm", 98.0, 0.06, 0.001), ("imdm-driven", 99.7, 0.004, 0.0001)):
            about = {"table": 1, "model": model, "setting": "1 step", "seed": seed}
            rows.append(number("validity_pct", share + seed / 10, 0.4, **about))
            metrics = {"token_entropy_nats": 0.692, "error_valid_mass_nats": error, "error_kl_nats": kl}
            rows += [number(metric, value, 0, **about) for metric, value in metrics.items()]
            for noise, p in (("noise A", 98.0), ("noise B", 1.0)):
                about = {"table": 2, "model": model, "setting": noise, "seed": seed}
                rows += [number(f"P(token{i}=0)_pct", 49.7 if model == "mdm" else p, 0, **about) for i in (1, 2)]
        about = {"table": 1, "model": "random", "setting": "", "seed": seed}
        rows += [number("validity_pct", 50.0, 0.4, **about), number("token_entropy_nats", 0.693, 0, **about)]
    artifact(folder, "synthetic", {"synthetic.json": {"rows": rows}})


def factorization(folder: Path, model: str, error: float, noise: bool) -> None:
    """factorization.json and per_sequence.parquet; with noise the error is half a nat more at each smaller M."""
    from imdm.factorization import error_records, sequence_frame
    from imdm.params import Factorization

    settings, draw, values = Factorization(steps=list(STEPS), sequences=16), np.random.default_rng(7), {}
    for steps in STEPS:
        base = LENGTH * error / steps + draw.normal(0, 0.1, 16)  # the same for every model
        values[f"{steps}.errors"] = np.stack([base + 0.5 * LENGTH * place * noise for place in (2, 1, 0)], 1)
        parts = {"correlation": 1.0, "marginals": error - 1 + 0.25 * noise, "dependence": 0.25 * noise, "joint": -4.0}
        values |= {f"{steps}.{name}": np.full(16, LENGTH * value / steps) for name, value in parts.items()}
    frame = sequence_frame(values, settings)
    about = {"model": model, "teacher": "teacher", "precision": "float32", "noise": noise, "seq_len": LENGTH}
    about |= {"noise_draws": settings.noise_draws, "rows": error_records(frame, LENGTH, settings, 0)}
    artifact(folder, "factorization", {"factorization.json": about, "per_sequence.parquet": frame})


def training(folder: Path, stage: str, start: float, end: float, files: dict[str, Any] | None = None) -> None:
    """train_log.csv of a loss that decays from `start` to `end`, and further files."""
    step = np.arange(1, 101)
    loss = end + (start - end) * np.exp(-step / 18) + np.random.default_rng(0).normal(0, 0.04, 100)
    log = pd.DataFrame({"step": 10 * step, "loss": loss, "lr": 3e-4, "tokens_per_second": 20000, "seconds": step / 2})
    artifact(folder, stage, {"train_log.csv": log} | (files or {}), tokens_per_second=20000)


def validated(perplexity: float) -> dict[str, Any]:
    about = {"valid_perplexity": perplexity, "low": perplexity - 1.1, "high": perplexity + 1.1}
    return {"validation.json": about | {"unigram_perplexity": 180.4, "parameters": 1_200_000}}


def samples(folder: Path, model: str, tokenizer: Any, digest: str, task: dict[str, Any] | None = None) -> None:
    """samples.safetensors: cut pieces of NASTY and of prose, unmasked in random order; completions where there is a task."""
    prose = "The statement returns the value of the expression, or None where the list of names is empty; see also the module. "
    stream = tokenizer.encode((NASTY + prose) * 40).ids
    tensors, draw = {}, np.random.default_rng(0)
    for steps in STEPS:
        starts = draw.integers(len(stream) - LENGTH, size=COUNT)
        starts[0] = 0
        tokens = np.stack([[0, *stream[s : s + LENGTH - 2], 0] for s in starts]).astype("int32")
        at = draw.integers(steps, size=tokens.shape).astype("int32")
        at[:, : task["prompt_tokens"] if task else 1] = -1
        if task:
            prompts = np.repeat(tokens[:: task["completions"]], task["completions"], 0)
            tokens = np.where(at < 0, prompts, tokens).astype("int32")
        tensors |= {f"{steps}.tokens": tokens, f"{steps}.unmasked_at": at, f"{steps}.calls": np.full(COUNT, steps, "int32")}
    about = {"model": model, "steps": list(STEPS), "temperature": {str(n): 1.0 for n in STEPS}, "precision": "float32"}
    about |= {"tokenizer_sha256": digest, "seed": 0, "conditional": task}
    about |= {"task": "conditional" if task else "unconditional", "matching": None}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "samples.safetensors", metadata={"imdm": json.dumps(about)})
    artifact(folder, "sample", {}, tokens_per_second=9000)


def data(folder: Path) -> tuple[Any, str]:
    """dataset.json and a byte-level tokenizer; its tokenizer and digest."""
    from imdm.data.tokenizer import train_bpe

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_bpe(["the value of the list returns the expression and the statement of the module names see also where"] * 8, 320)
    tokenizer.save(str(folder / "tokenizer.json"))
    digest, vocabulary = sha256(folder / "tokenizer.json"), tokenizer.get_vocab_size()
    about = {"corpus": "pydocs", "packing": "carry", "tokenizer_kind": "BPE", "tokenizer_source": "trained", "seq_len": LENGTH}
    about |= {"vocab_size": vocabulary, "mask_id": vocabulary - 1, "bos_id": 0, "eos_id": 0, "tokenizer_sha256": digest, "statistics": {}}
    split = {"blocks": 10, "tokens": 200, "dropped": 3, "documents": 5, "sha256": "0" * 64}
    artifact(folder, "tokenize_pack", {"dataset.json": about | {"splits": dict.fromkeys(("train", "judge", "valid", "test"), split)}})
    return tokenizer, digest


def build(root: Path, seeds: int = 1) -> Path:
    """Write ROOT/data/pydocs-carry-32 and ROOT/results/tiny, all that tabulate, plot, extras and report read; the run's folder.

    Further training seeds have what tabulate reads.
    """
    results = root / "results" / "tiny"
    tokenizer, digest = data(root / "data" / DATA)
    training(results / "models/teacher", "pretrain", 6.2, 4.1, validated(61.2))
    judge = JUDGE | {"parameters": 900_000, "low": 40.7, "high": 42.3, "unigram_perplexity": 181.0}
    training(results / "judge", "train_judge", 6.0, 3.7, {"judge.json": judge})
    (results / "reference").mkdir()
    save_file({"unconditional.entropy": np.random.default_rng(0).normal(2.9, 0.03, 40)}, results / "reference/reference.safetensors")
    real: dict[str, Any] = {"split": "test", "settings": None}
    for metric, value, half in (("gen_ppl", 40.9, 0.8), ("distinct_4", 0.98, 0.0), ("entropy", 2.95, 0.02)):
        real[metric] = {"value": value, "low": value - half, "high": value + half}
    controls(results / "controls")
    named = {"name": JUDGE["name"], "precision": "float32", "sha256": "0" * 64}
    artifact(results / "reference", "reference", {"reference.json": {"judge": named, "unconditional": real, "conditional": None}})

    def model(name: str, level: float, entropy: float = 2.9, teacher: str | None = None, error: float = 1.0) -> None:
        scores(results / "scores" / name, name, level, entropy)
        scores(results / "dilated/scores" / name, name, level - 0.2, entropy)
        frontier(results / "frontier" / name, name, level, entropy)
        if "-seed" in name:
            return
        samples(results / "samples" / name, name, tokenizer, digest)
        audit(results / "audit" / name, name, teacher)
        factorization(results / "factorization" / name, name, error, noise=name.startswith("imdm/"))

    model("teacher", LEVEL["teacher"])
    model(KEYED, LEVEL["keyed"])
    training(results / "models" / KEYED, "keyed", 4.0, 3.0)
    for seed, (name, gain) in itertools.product(range(seeds), (("mdlm", 0.0), ("imdm", 0.35))):
        variant, gain = name + (f"-seed{seed}" if seed else ""), gain * (1 + 0.2 * seed)
        for round_number in (1, 2, 3):
            training(results / "models" / variant / f"sdtt{round_number}", "sdtt", 0.5, 0.12 + 0.05 * round_number - 0.1 * gain)
        for recipe in RECIPES:
            if recipe.endswith("redi"):
                training(results / "models" / variant / recipe, "redi", 4.4, 3.4 - gain)
            # clearly better with ReDi alone, a tie with SDTT, clearly worse with both
            shift = {"redi": -gain, "sdtt3": -0.02 * gain, "sdtt3-redi": gain}[recipe]
            teacher = {"redi": "teacher", "sdtt3-redi": f"{variant}/sdtt3"}.get(recipe)
            model(f"{variant}/{recipe}", LEVEL[recipe] + shift, 2.85 - 0.1 * gain, teacher, error=2.0 - shift)
    synthetic(results / "synthetic")
    return results


def add_paper(results: Path) -> None:
    """Add to a built run what the other exhibits of the paper need, of the models that `paper` in params.yaml names."""
    from imdm.data.blocks import Dataset

    dataset = Dataset.open(dataset_of(results))
    tokenizer, digest = dataset.tokenizer(), dataset.tokenizer_sha256
    student, levels = "imdm/sdtt3-redi", {"teacher": 5.6, "mdlm/sdtt3": 5.3, DI4C: 5.2, "imdm/sdtt3-redi": 5.0}
    for place, variant in enumerate(NOISE):
        scores(results / "scores" / variant / "sdtt3-redi", f"{variant}/sdtt3-redi", 5.0 + 0.15 * place, 2.84)
    samples(results / "samples" / DI4C, DI4C, tokenizer, digest)
    scores(results / "scores" / DI4C, DI4C, levels[DI4C], 2.88)
    for model in ("teacher", "imdm/scratch"):
        scores(results / "at32/scores" / model, model, levels.get(model, 5.65), 2.88, (32,))
    for model, level in levels.items():
        scores(results / "conditional/scores" / model, model, level - 0.4, 2.8, task="conditional", conditional=TASK)
        samples(results / "conditional/samples" / model, model, tokenizer, digest, TASK)
    matching = {str(n): {"target": 2.8, "reached": 2.8, "bound": "high" if n == 1 else None} for n in STEPS}
    about = {"temperature": {str(n): 1 + 0.01 * n for n in STEPS}, "matching": {"target": "mdlm/sdtt3", "steps": matching}}
    scores(results / "matched/scores" / student, student, 5.05, 2.85, task="matched", **about)
    for model, perplexity in (("imdm/scratch", 62.0), ("mdlm/finetune", 60.0), ("imdm/finetune", 65.0)):
        artifact(results / "models" / model, "pretrain", validated(perplexity))


def stage(name: str, run: Path, file: str, *options: str) -> int:
    """Run a stage in this process on the project's params.yaml, for one file of a run; its exit code."""
    script = module(name)
    with contextlib.chdir(ROOT):
        argv = ["--results", f"{run}", *options, "--out", f"{run}/{file}"]
        return run_stage(script.__file__, script.__doc__, script.READS, script.arguments, script.run, argv)


def tabulate(run: Path, *options: str) -> int:
    return stage("tabulate", run, "tables/tables.csv", *options)


def plot(run: Path, *options: str) -> int:
    return stage("plot", run, "figures/figure02.png", *options)


def exhibit(run: Path, name: str, *options: str) -> int:
    """The exhibit stage; `name` is that of an exhibit of the paper, or a file as figures/factorization.png."""
    return stage("exhibit", run, name if "/" in name else output(name), "--data", dataset_of(run), *options)


def report(run: Path, *options: str, page: str = "report") -> int:
    return stage("report", run, f"{page}.html", "--data", dataset_of(run), *options)


def cells(view: View) -> dict[tuple[str, str], dict[str, Cell]]:
    """The cells of a table by their heads, of each line by its first two texts."""
    return {(line[0].text, line[1].text): dict(zip(view.columns, line, strict=True)) for line in view.body}


def dataset_of(run: Path) -> str:
    return f"{run.parents[1]}/data/{DATA}/dataset.json"
