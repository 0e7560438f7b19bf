"""A run's results as its stages would leave them, with invented numbers, for the tests of tables, figures and report."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from checkout import ROOT
from imdm.results.plan import output

DATA = "pydocs-carry-32"
STEPS = (1, 2, 4, 8, 16)
TEMPERATURES = (0.7, 1.0, 1.4)
JUDGE = {"name": "trained", "precision": "float32", "held_out_perplexity": 41.5}
RECIPES = ("sdtt3", "redi", "sdtt3-redi")
LEVEL = {"teacher": 5.6, "sdtt3": 5.3, "redi": 5.1, "sdtt3-redi": 4.8, "keyed": 5.0}  # ln Gen-PPL at one step
NOISE = ("imdm-gaussian", "imdm-d64", "imdm-d512", "imdm-s0.5", "imdm-s2", "multimask")  # variants of the ablations in params.yaml
DI4C = "mdlm/sdtt3-di4c2"
KEYED = "imdm-signs/keyed"
TASK = {"prompts": 8, "completions": 6, "prompt_tokens": 8, "split": "valid", "scored_tokens": 16, "seed": 0}
NASTY = '<script>alert(1)</script> & "quoted" </script> naïve café €5 日本 '
LENGTH, COUNT = 24, 48


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def meta(folder: Path, stage: str, seconds: float, parameters: dict[str, Any], **metrics: float) -> None:
    """A meta.json as the stage harness writes it."""
    outputs = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}
    about = {"stage": stage, "arguments": {"model": "x"}, "parameters": parameters, "inputs": {}, "outputs": outputs, "metrics": metrics}
    about |= {"seconds": seconds, "resumed": False, "peak_memory_mib": {"host": 512.0}, "code": "0123456789abcdef", "git": "a" * 40}
    about |= {"machine": {"platform": "Linux-test", "cpus": 2, "python": "3.11.9", "gpu": None}, "libraries": {"torch": "2.13.0"}}
    write(folder / "meta.json", about)


def scores(folder: Path, model: str, nll_at_one: float, entropy: float, **about: Any) -> None:
    """scores.json and per_sample.parquet whose corpus-level Gen-PPL is exp(sum of nll / sum of tokens)."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    rows, frames = [], []
    for steps in STEPS:
        noise = np.random.default_rng(steps).normal(0, 0.15, COUNT)  # the same for every model: common random numbers
        rate = nll_at_one - 0.28 * math.log(steps) + noise + np.random.default_rng([sum(model.encode()), steps]).normal(0, 0.05, COUNT)
        tokens = np.full(COUNT, LENGTH)
        frames.append(pd.DataFrame({"model": model, "steps": steps, "sample": range(COUNT), "nll": rate * tokens, "tokens": tokens}))
        value, spread = math.exp(rate.mean()), 1.96 * rate.std() / math.sqrt(COUNT)
        metrics = {"gen_ppl": (value, value * math.exp(-spread), value * math.exp(spread))}
        spread_out = entropy + 0.0003 - 0.05 / steps  # no exact half in the last digit shown
        metrics |= {"gen_ppl_mean": metrics["gen_ppl"], "entropy": (spread_out, spread_out - 0.01, spread_out + 0.01)}
        mauve = 1 / (1 + math.exp(nll_at_one - 4.9) / steps)
        metrics |= {"mauve": (mauve, mauve - 0.01, mauve + 0.01), "distinct_4": (0.9, 0.88, 0.92)}
        rows += [{"steps": steps, "metric": name, "value": v, "low": low, "high": high} for name, (v, low, high) in metrics.items()]
    pd.concat(frames).assign(entropy=entropy).to_parquet(folder / "per_sample.parquet")
    about = {"task": "unconditional", "temperature": {str(n): 1.0 for n in STEPS}, "conditional": None, "matching": None} | about
    write(folder / "scores.json", about | {"model": model, "judge": JUDGE, "precision": "float32", "rows": rows})
    meta(folder, "score", 3.0, {"scoring": {"bootstrap": 1000}, "seeds.scoring": 0})


def audit(folder: Path, model: str, teacher: str | None = None) -> None:
    """audit.json of 4- and 8-grams; a rectified model has seen its teacher's pairs."""
    rows = []
    for name in dict.fromkeys((model, "teacher", "test text")):
        share = {"teacher": 0.5, "test text": 3.0}.get(name, 1.0 + 0.5 * ("imdm" in name))
        for steps in (None,) if name == "test text" else STEPS:
            metrics = {f"{stem}_{n}_pct": share * 4 / n for stem in ("in_train", "shared") for n in (4, 8)}
            metrics |= {"nearest_block_pct": share, "nearest_block_q95_pct": 2 * share, "nearest_block_max_pct": 4 * share}
            if teacher:
                metrics |= {"in_couplings_4_pct": share, "in_couplings_8_pct": share / 2}
                metrics |= {"nearest_coupling_pct": 10 + share, "nearest_coupling_q95_pct": 15.0, "nearest_coupling_max_pct": 20 + share}
            rows += [
                {"model": name, "steps": steps, "metric": key, "value": v, "low": v - 0.1, "high": v + 0.1} for key, v in metrics.items()
            ]
    for name in dict.fromkeys((model, teacher or model)):
        fresh = 0.2 if name.startswith("imdm") and name == model else 0.0
        seen, unseen = (2.0, 5.0) if teacher and name == model else (4.0, 4.0)
        metrics = {"nll_unseen_own": unseen, "nll_unseen_fresh": unseen, "noise_gap_unseen": 0.0, "equal_unseen_own_pct": 12.0}
        if teacher:
            metrics |= {"nll_seen_own": seen, "nll_seen_fresh": seen + fresh, "noise_gap_seen": fresh, "pair_gap": unseen - seen}
            metrics |= {"equal_seen_own_pct": 40.0, "equal_seen_fresh_pct": 40.0 - 50 * fresh}
        rows += [{"model": name, "steps": None, "metric": key, "value": value} for key, value in metrics.items()]
    rows = [row | {"low": row["value"] - 0.1, "high": row["value"] + 0.1} for row in rows]
    write(folder / "audit.json", {"model": model, "teacher": teacher or model, "couplings": 16, "split": "test", "rows": rows})
    meta(folder, "audit", 5.0, {"audit": {"n": [4, 8]}})


def frontier(folder: Path, model: str, nll_at_one: float, entropy: float) -> None:
    """frontier.json and per_sample.parquet: ln Gen-PPL and entropy grow with temperature, with draws common to all models."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    rows, frames = [], []
    for steps, temperature in itertools.product(STEPS, TEMPERATURES):
        noise = np.random.default_rng(steps).normal(0, 0.15, COUNT) + np.random.default_rng([sum(model.encode())]).normal(0, 0.05, COUNT)
        rate = nll_at_one - 0.28 * math.log(steps) + 1.2 * math.log(temperature) + noise
        spread = entropy - 0.05 / steps + 0.3 * math.log(temperature) + np.random.default_rng([steps, 1]).normal(0, 0.02, COUNT)
        place = {"steps": steps, "temperature": temperature}
        values = {"sample": range(COUNT), "nll": rate * LENGTH, "tokens": LENGTH, "entropy": spread}
        frames.append(pd.DataFrame({"model": model} | place | values))
        for metric, value in (("gen_ppl", math.exp(rate.mean())), ("entropy", spread.mean())):
            rows.append(place | {"metric": metric, "value": value, "low": value - 0.01, "high": value + 0.01})
    pd.concat(frames, ignore_index=True).to_parquet(folder / "per_sample.parquet")
    about = {"model": model, "precision": "float32", "sampled_at": 1.0, "judge": JUDGE}
    write(folder / "frontier.json", about | {"rows": rows})
    meta(folder, "frontier", 6.0, {"frontier": {"count": COUNT, "temperatures": TEMPERATURES}})


def synthetic(folder: Path) -> None:
    """synthetic.json of five seeds with values that are easy to average."""
    rows = []
    for seed in range(5):
        for model, share, error, kl in (("mdm", 49.8, 0.693, 0.693), ("imdm", 98.0, 0.06, 0.001), ("imdm-driven", 99.7, 0.004, 0.0001)):
            found = {"validity_pct": share + seed / 10, "token_entropy_nats": 0.692, "error_valid_mass_nats": error, "error_kl_nats": kl}
            rows += [{"table": 1, "model": model, "setting": "1 step", "metric": name, "value": value} for name, value in found.items()]
            for noise, p in (("noise A", 98.0), ("noise B", 1.0)):
                p = 49.7 if model == "mdm" else p
                rows += [{"table": 2, "model": model, "setting": noise, "metric": f"P(token{i}=0)_pct", "value": p} for i in (1, 2)]
        rows += [{"table": 1, "model": "random", "setting": "", "metric": "validity_pct", "value": 50.0}]
        rows += [{"table": 1, "model": "random", "setting": "", "metric": "token_entropy_nats", "value": 0.693}]
        for row in rows:
            row.setdefault("seed", seed)
            half = 0.4 if row["metric"] == "validity_pct" else 0.0
            row |= {"low": row["value"] - half, "high": row["value"] + half}
    write(folder / "synthetic.json", {"rows": rows})
    meta(folder, "synthetic", 80.5, {"synthetic": {"seeds": [0, 1, 2, 3, 4], "pairs": 300}})


def dictionary(folder: Path) -> None:
    """dictionary.csv of two words and four, and of one ablation, with values that are easy to name."""
    from imdm.languages.dictionary import COLUMNS

    lines = []
    shares = {"mdm": 0.0, "imdm": 30.0, "imdm-driven": 40.0}
    for words, varied, pairs in ((2, "", 400), (4, "", 400), (4, "pairs", 100)):
        for model in ("data", "teacher", *shares):
            about = {"words": words, "length": 4, "letters": 26, "varied": varied, "hidden_size": 64, "model": model, "seed": 0}
            about |= {"pairs": pairs, "noise_dim": 128} if model in shares else {"pairs": "", "noise_dim": ""}
            for steps in (1, 4):
                found = {"total_correlation_nats": 2.0 * words / steps, "theorem_bound_nats": 0.5 * words / steps}
                if model != "data":
                    valid = shares.get(model, 50.0) + 10 * steps - words - (pairs < 400)
                    found = {"validity_pct": valid, "coverage_pct": valid + 3}
                    found |= {"error_kl_nats": 1.5, "error_valid_mass_nats": 1.6, "kl_bias_nats": 0.01} if steps == 1 else {}
                for metric, value in found.items():
                    lines.append(about | {"steps": steps, "metric": metric, "value": value, "low": value - 0.5, "high": value + 0.5})
    text = [",".join(COLUMNS)] + [",".join(str(line[name]) for name in COLUMNS) for line in lines]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dictionary.csv").write_text("\n".join(text) + "\n")
    meta(folder, "dictionary", 60.0, {"dictionary": {"seeds": [0]}})


def chain(folder: Path) -> None:
    """chain.csv of one seed, where every model loses half of its distance with each doubling of the steps."""
    from imdm.languages.chain import COLUMNS

    lines = []
    distances = {"data": 0.01, "best-mdm": 2.0, "teacher": 2.2, "mdm": 2.1, "imdm": 1.8, "imdm-driven-any-order": 1.0, "keyed": 0.5}
    for model, distance in distances.items():
        for steps in ("",) if model == "data" else (1, 2, 4, 12):
            kl = distance / (steps or 1)
            found = {"nll_nats": 1.2 + 2 * kl, "bigram_entropy_nats": 1.1 + kl, "bigram_kl_nats": kl}
            found |= {"entropy_nats": 1.21, "entropy_rate_nats": 1.1} if model == "data" else {}
            for metric, value in found.items():
                about = {"states": 16, "length": 12, "model": model, "seed": 0, "steps": steps}
                lines.append(about | {"metric": metric, "value": value, "low": value * 0.97, "high": value * 1.03})
    text = [",".join(COLUMNS)] + [",".join(str(line[name]) for name in COLUMNS) for line in lines]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chain.csv").write_text("\n".join(text) + "\n")
    meta(folder, "chain", 60.0, {"chain": {"seeds": [0]}})


def factorization(folder: Path, model: str, error: float, noise: bool) -> None:
    """factorization.json and per_sequence.parquet; with noise the error is half a nat more at each smaller M."""
    from imdm.factorization.estimate import error_records, sequence_frame
    from imdm.params import Factorization

    settings, draw = Factorization(steps=list(STEPS), sequences=16), np.random.default_rng(7)
    found = {}
    for steps in STEPS:
        base = LENGTH * error / steps + draw.normal(0, 0.1, 16)  # the same for every model
        extra = [0.5 * LENGTH * place * noise for place in (2, 1, 0)]
        found[f"{steps}.errors"] = np.stack([base + more for more in extra], 1)
        parts = {"correlation": 1.0, "marginals": error - 1 + 0.25 * noise, "dependence": 0.25 * noise, "joint": -4.0}
        found |= {f"{steps}.{name}": np.full(16, LENGTH * value / steps) for name, value in parts.items()}
    frame = sequence_frame(found, settings)
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / "per_sequence.parquet")
    about = {"model": model, "teacher": "teacher", "precision": "float32", "noise": noise, "seq_len": LENGTH}
    write(folder / "factorization.json", about | {"noise_draws": settings.noise_draws, "rows": error_records(frame, LENGTH, settings, 0)})
    meta(folder, "factorization", 9.0, {"factorization": {"sequences": 16}, "seeds.scoring": 0})


def log(folder: Path, stage: str, start: float, end: float) -> None:
    """train_log.csv of a loss that decays from `start` to `end`."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(folder))).normal(0, 0.04, 100)
    loss = [end + (start - end) * math.exp(-i / 18) * (1 + noise[i]) + 0.05 * noise[i] for i in range(100)]
    lines = ["step,loss,lr,tokens_per_second,seconds"] + [f"{10 * (i + 1)},{loss[i]:.6g},0.0003,20000,{i / 2}" for i in range(100)]
    (folder / "train_log.csv").write_text("\n".join(lines) + "\n")
    meta(folder, stage, 61.0, {stage: {"steps": 1000, "lr": 3e-4}, "seeds.train": 0}, tokens_per_second=20000, loss=end)


def samples(folder: Path, model: str, tokenizer: Any, digest: str, task: dict[str, Any] | None = None) -> None:
    """samples.safetensors: cut pieces of NASTY and of prose, unmasked in random order; completions where there is a task."""
    folder.mkdir(parents=True, exist_ok=True)
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
    save_file(tensors, folder / "samples.safetensors", metadata={"imdm": json.dumps(about)})
    meta(folder, "sample", 4.0, {"sampling": {"count": COUNT, "steps": list(STEPS)}, "seeds.sampling": 0}, tokens_per_second=9000)


def data(folder: Path) -> tuple[Any, str]:
    """dataset.json and a byte-level tokenizer; its tokenizer and digest."""
    from imdm.data.tokenizer import train_bpe

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_bpe(["the value of the list returns the expression and the statement of the module names see also where"] * 8, 320)
    tokenizer.save(str(folder / "tokenizer.json"))
    digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    vocabulary = tokenizer.get_vocab_size()
    tree = {
        "corpus": "pydocs",
        "packing": "carry",
        "tokenizer_kind": "BPE",
        "tokenizer_source": "trained",
        "seq_len": LENGTH,
        "vocab_size": vocabulary,
        "mask_id": vocabulary - 1,
        "bos_id": 0,
        "eos_id": 0,
    }
    splits = {
        name: {"blocks": 10, "tokens": 200, "dropped": 3, "documents": 5, "sha256": "0"} for name in ("train", "judge", "valid", "test")
    }
    write(folder / "dataset.json", tree | {"tokenizer_sha256": digest, "splits": splits, "statistics": {}})
    meta(folder, "tokenize_pack", 12.0, {"corpus": {"name": "pydocs", "vocab_size": 320}, "seeds.data": 0})
    return tokenizer, digest


def validation(folder: Path, perplexity: float) -> None:
    found = {"valid_perplexity": perplexity, "low": perplexity - 1.1, "high": perplexity + 1.1}
    write(folder / "validation.json", found | {"unigram_perplexity": 180.4, "parameters": 1_200_000})


def build(root: Path, recipes: tuple[str, ...] = RECIPES, seeds: int = 1) -> Path:
    """Write ROOT/data/pydocs-carry-32 and ROOT/results/tiny, all that tabulate, plot and report read; the run's folder."""
    results = root / "results" / "tiny"
    tokenizer, digest = data(root / "data" / DATA)
    log(results / "models" / "teacher", "pretrain", 6.2, 4.1)
    validation(results / "models" / "teacher", 61.2)
    meta(
        results / "models" / "teacher", "pretrain", 101.0, {"pretrain": {"steps": 2000}, "network": {"blocks": 4}}, tokens_per_second=25000
    )
    log(results / "judge", "train_judge", 6.0, 3.7)
    judge = {"name": "trained", "parameters": 900_000, "held_out_perplexity": 41.5, "low": 40.7, "high": 42.3, "unigram_perplexity": 181.0}
    write(results / "judge" / "judge.json", judge)
    meta(results / "judge", "train_judge", 55.0, {"judge": {"steps": 1500}})
    real = {"split": "test", "gen_ppl": {"value": 40.9, "low": 40.1, "high": 41.7}, "entropy": {"value": 2.95, "low": 2.93, "high": 2.97}}
    write(results / "reference" / "reference.json", {"unconditional": real, "conditional": None})
    save_file({"unconditional.entropy": np.random.default_rng(0).normal(2.9, 0.03, 40)}, results / "reference" / "reference.safetensors")
    meta(results / "reference", "reference", 9.0, {})
    for model, level in (("teacher", LEVEL["teacher"]), (KEYED, LEVEL["keyed"])):
        scores(results / "scores" / model, model, level, 2.9)
        frontier(results / "frontier" / model, model, level, 2.9)
        samples(results / "samples" / model, model, tokenizer, digest)
        audit(results / "audit" / model, model)
    log(results / "models" / KEYED, "keyed", 4.0, 3.0)
    for seed, (name, gain) in itertools.product(range(seeds), (("mdlm", 0.0), ("imdm", 0.35))):
        variant, gain = name + (f"-seed{seed}" if seed else ""), gain * (1 + 0.2 * seed)
        for number in (1, 2, 3):
            log(results / "models" / variant / f"sdtt{number}", "sdtt", 0.5, 0.12 + 0.05 * number - 0.1 * gain)
        for recipe in recipes:
            if recipe.endswith("redi"):
                log(results / "models" / variant / recipe, "redi", 4.4, 3.4 - gain)
            # clearly better with ReDi alone, a tie with SDTT, clearly worse with both
            shift = {"redi": -gain, "sdtt3": -0.02 * gain, "sdtt3-redi": gain}[recipe]
            scores(results / "scores" / variant / recipe, f"{variant}/{recipe}", LEVEL[recipe] + shift, 2.85 - 0.1 * gain)
            frontier(results / "frontier" / variant / recipe, f"{variant}/{recipe}", LEVEL[recipe] + shift, 2.85 - 0.1 * gain)
            samples(results / "samples" / variant / recipe, f"{variant}/{recipe}", tokenizer, digest)
            factorization(results / "factorization" / variant / recipe, f"{variant}/{recipe}", 2.0 - shift, name == "imdm")
            made_by = {"redi": "teacher", "sdtt3-redi": f"{variant}/sdtt3"}.get(recipe)
            audit(results / "audit" / variant / recipe, f"{variant}/{recipe}", made_by)
    factorization(results / "factorization" / "teacher", "teacher", 1.0, False)
    synthetic(results / "synthetic")
    dictionary(results / "dictionary")
    chain(results / "chain")
    return results


def add_paper(results: Path) -> None:
    """Add to a built run what the other exhibits of the paper need, of the models that `paper` in params.yaml names."""
    from imdm.data.blocks import Dataset

    dataset = Dataset.open(results.parents[1] / "data" / DATA / "dataset.json")
    tokenizer, digest = dataset.tokenizer(), dataset.tokenizer_sha256
    student, levels = "imdm/sdtt3-redi", {"teacher": 5.6, "mdlm/sdtt3": 5.3, DI4C: 5.2, "imdm/sdtt3-redi": 5.0}
    for place, variant in enumerate(NOISE):
        model = f"{variant}/sdtt3-redi"
        log(results / "models" / model, "redi", 4.4, 3.3 + 0.05 * place)
        scores(results / "scores" / model, model, 5.0 + 0.15 * place, 2.84)
    for number in (1, 2):
        log(results / "models" / f"mdlm/sdtt3-di4c{number}", "di4c", 2.4, 2.1 - 0.1 * number)
    samples(results / "samples" / DI4C, DI4C, tokenizer, digest)
    for model in (DI4C, "imdm/scratch"):
        scores(results / "scores" / model, model, levels.get(model, 5.65), 2.88)
    for model, level in levels.items():
        scores(results / "conditional" / "scores" / model, model, level - 0.4, 2.8, task="conditional", conditional=TASK)
        samples(results / "conditional" / "samples" / model, model, tokenizer, digest, TASK)
    found = {str(n): {"target": 2.8, "reached": 2.8, "bound": "high" if n == 1 else None} for n in STEPS}
    about = {"temperature": {str(n): 1 + 0.01 * n for n in STEPS}, "matching": {"target": "mdlm/sdtt3", "steps": found}}
    scores(results / "matched" / "scores" / student, student, 5.05, 2.85, task="matched", **about)
    for model, perplexity in (("imdm/scratch", 62.0), ("mdlm/finetune", 60.0), ("imdm/finetune", 65.0)):
        log(results / "models" / model, model.split("/")[1], 5.0, 4.0)
        validation(results / "models" / model, perplexity)
        meta(results / "models" / model, model.split("/")[1], 20.0, {})


def stage(name: str, *argv: str) -> int:
    """Run a stage in this process on the project's params.yaml; its exit code."""
    import importlib.util

    from imdm.stage.job import run_stage

    script = ROOT / "stages" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"stage_{name}", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with contextlib.chdir(ROOT):
        return run_stage(str(script), module.__doc__, module.READS, module.arguments, module.run, list(argv))


def tabulate(run: Path, *options: str) -> int:
    """The tabulate stage on a fake run."""
    return stage("tabulate", "--results", f"{run}", *options, "--out", f"{run}/tables/tables.csv")


def plot(run: Path, *options: str) -> int:
    """The plot stage on a fake run."""
    return stage("plot", "--results", f"{run}", *options, "--out", f"{run}/figures/figure02.png")


def exhibit(run: Path, name: str, *options: str) -> int:
    """The exhibit stage on a fake run; `name` is that of an exhibit of the paper, or a file as figures/chain.png."""
    file = name if "/" in name else output(name)
    return stage("exhibit", "--data", dataset(run), "--results", f"{run}", *options, "--out", f"{run}/{file}")


def report(run: Path, *options: str, page: str = "report") -> int:
    """The report stage on a fake run."""
    return stage("report", "--data", dataset(run), "--results", f"{run}", *options, "--out", f"{run}/{page}.html")


def dataset(run: Path) -> str:
    return f"{run.parents[1]}/data/{DATA}/dataset.json"


def finished(root: Path) -> Path:
    """A fake run, tabulated, plotted and reported."""
    run = build(root)
    assert [tabulate(run), plot(run), report(run)] == [0, 0, 0]
    return run
