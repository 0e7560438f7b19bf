"""The presets: every value has a row with its source in docs/presets.md, every job is counted, every estimate is as printed."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from imdm.cost.cost import Cost
from imdm.cost.machines import Machine
from imdm.cost.scaling import plans

from checkout import ROOT, clone, run
from imdm.cost.estimate import estimate
from imdm.cost.jobs import jobs
from imdm.cost.table import scaling_table, table
from imdm.params import load_params
from imdm.stage.gpus import find_gpu

PRESETS = ("lm1b", "owt", "owt-860m", "single-gpu")
PAPER = Path(os.environ.get("IMDM_FIXTURES", ROOT.parent / "shared")) / "paper/imdm.txt"
PAGE = (ROOT / "docs/presets.md").read_text(encoding="utf-8")
SCALING = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")

ONCE = dict.fromkeys(("tokenize_pack", "load_judge", "reference", "synthetic", "dictionary", "chain", "tabulate", "plot", "report"), 1)
# MDLM and IMDM by sdtt7, redi and sdtt7-redi: 2 x 7 rounds; couplings of the teacher and of two students; the teacher is sampled too.
COMPARISON = ONCE | {"pretrain": 1, "initialize": 2, "sdtt": 14, "couple": 3, "redi": 4}
COMPARISON |= dict.fromkeys(("sample", "score", "frontier", "audit", "factorization"), 7)
# IMDM by sdtt7-redi alone.
STUDENT = ONCE | {"load_mdlm": 1, "initialize": 1, "sdtt": 7, "couple": 8, "merge": 1, "redi": 1}
STUDENT |= dict.fromkeys(("sample", "score", "frontier", "audit", "factorization"), 2)
COUNTS = {
    ("lm1b", "all"): COMPARISON,
    # Tables 3, 8 and 11: six more variants by sdtt7-redi. Table 12: IMDM from scratch. Table 13: two fine-tunings. Five exhibits.
    ("lm1b", "paper"): COMPARISON
    | {"initialize": 8, "sdtt": 8 * 7, "couple": 9, "redi": 10, "pretrain": 2, "finetune": 2, "sample": 14, "score": 14, "exhibit": 5},
    ("owt", "all"): STUDENT,
    # Two baselines; a second width; teacher, baselines and student complete prompts: 5 + 4 scores. Tables 6, 7, 14, figures 3, 4, 6-13.
    ("owt", "paper"): STUDENT
    | {
        "load_mdlm": 3,
        "initialize": 2,
        "sdtt": 14,
        "couple": 16,
        "merge": 2,
        "redi": 2,
        "sample": 5,
        "complete": 4,
        "score": 9,
        "exhibit": 13,
    },
    ("owt-860m", "all"): STUDENT,
    # One baseline; Table 9's entropy-matched student: 3 + 3 + 1 scores.
    ("owt-860m", "paper"): STUDENT | {"load_mdlm": 2, "sample": 3, "complete": 3, "match_entropy": 1, "score": 7, "exhibit": 3},
    ("single-gpu", "all"): COMPARISON,
    ("single-gpu", "paper"): COMPARISON,
}


def leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """(dotted key, value); a list of blocks is given as its length."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{prefix}{key}", len(value)
        else:
            yield f"{prefix}{key}", value


def value_rows() -> dict[str, list[str]]:
    """The cells of the page's last table by key."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.partition("## Every value")[2].splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid(preset):
    params = load_params(ROOT / f"presets/{preset}.yaml")
    assert params.run == preset and params.runtime.device == "cuda" and params.judge.model == "gpt2-large"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_value_has_a_row_with_its_source(preset):
    tree = dict(leaves(yaml.safe_load((ROOT / f"presets/{preset}.yaml").read_text(encoding="utf-8"))))
    rows, column = value_rows(), PRESETS.index(preset)
    written = {key: yaml.safe_load(cells[column].strip("`")) for key, cells in rows.items() if cells[column] != "-"}
    assert written == tree
    assert all(len(cells) == 5 and cells[4] for cells in rows.values())


def test_quotes_are_the_papers():
    if not PAPER.is_file():
        pytest.skip(f"the paper's text is not at {PAPER} (IMDM_FIXTURES)")
    text = " ".join(PAPER.read_text(encoding="utf-8").split())
    quotes = {quote for cells in value_rows().values() for quote in re.findall(r'"([^"]+)"', cells[4])}
    assert len(quotes) > 15
    assert not [quote for quote in quotes if quote not in text]


def test_costs_a_token_are_as_the_page_shows_them(tmp_path):
    """Operations over tokens of docs/scaling.md, for each preset and for params.yaml."""
    files = [ROOT / "params.yaml", *(ROOT / f"presets/{preset}.yaml" for preset in PRESETS)]
    found = [estimate(load_params(file), "all", Machine.of(find_gpu("h100")), tmp_path) for file in files]

    def megaflops(costs: list[Cost]) -> str:
        if not costs:
            return "-"
        return f"{float(f'{sum(cost.flops for cost in costs) / sum(cost.tokens for cost in costs) / 1e6:.3g}'):,.10g}"

    for stage in ("pretrain", "sdtt", "redi", "couple", "sample", "score"):
        cells = [megaflops([one.costs[job.out] for job in one.jobs if job.stage == stage]) for one in found]
        assert f"| {stage} | {' | '.join(cells)} |\n" in SCALING, cells


@pytest.mark.parametrize("preset, gpu", [("lm1b", "h100"), ("owt", "h100"), ("owt-860m", "h200"), ("single-gpu", "rtx-4090")])
def test_scaling_is_as_the_page_shows_it(preset, gpu, tmp_path):
    machine, params = Machine.of(find_gpu(gpu)), load_params(ROOT / f"presets/{preset}.yaml")
    text = scaling_table([plan for gpus in (1, 8, 64) for plan in plans(params, "paper", machine, tmp_path, gpus)], machine)
    assert f"$ python stages/preflight.py --params presets/{preset}.yaml --gpu {gpu} --scaling 1 8 64\n\n{text}\n" in SCALING


PRINTED = [("lm1b", "h100", 4), ("owt", "h100", 4), ("owt-860m", "h200", 4), ("single-gpu", "rtx-4090", 1), ("single-gpu", "a100-80", 1)]


@pytest.mark.parametrize("preset, gpu, gpus", PRINTED)
def test_estimates_are_as_the_page_shows_them(preset, gpu, gpus, tmp_path):
    machine = Machine.of(find_gpu(gpu))
    found = estimate(load_params(ROOT / f"presets/{preset}.yaml"), "paper", machine, tmp_path)
    command = f"python stages/preflight.py --params presets/{preset}.yaml --gpu {gpu} --gpus {gpus}"
    assert f"$ {command}\n\n{table(found, machine, gpus)}\n" in PAGE


@pytest.mark.parametrize("preset, target", COUNTS)
def test_job_counts_of_the_preflight(preset, target):
    found = jobs(load_params(ROOT / f"presets/{preset}.yaml"), target)
    assert Counter(job.stage for job in found) == COUNTS[preset, target]
    done = set()
    for job in found:
        assert done.issuperset(job.waits), f"{job.out} comes before what it waits for"
        done.add(job.out)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = clone(tmp_path_factory.mktemp("presets"))
    shutil.copytree(ROOT / "presets", target / "presets", dirs_exist_ok=True)
    shutil.copy(ROOT / "tests/micro.yaml", target / "presets")
    return target


def folders(job_blocks: str) -> set[tuple[str, str]]:
    """(stage, output folder or file) of every command of a dry run."""
    return set(re.findall(r"(?m)^Shell command: python stages/(\w+)\.py.* --out (\S+)", job_blocks))


@pytest.mark.parametrize("preset, target", [*COUNTS, ("micro", "paper")])
def test_snakemake_has_the_same_jobs(project, preset, target):
    """Job by job, by where each writes."""
    text = run(project, "snakemake", "-n", "-p", "--nocolor", "--nolock", target, "--configfile", f"presets/{preset}.yaml")
    if preset != "micro":
        assert Counter(re.findall(r"(?m)^Shell command: python stages/(\w+)\.py", text)) == COUNTS[preset, target]
    params = load_params(project / f"presets/{preset}.yaml")
    assert {(stage, place(out, params.run)) for stage, out in folders(text)} == {(job.stage, job.out) for job in jobs(params, target)}


def place(out: str, name: str) -> str:
    """A command's --out as the preflight names it."""
    out = out.removeprefix(f"results/{name}/")
    if out.startswith("data/"):
        return "data"
    shard = re.match(r"((?:conditional/)?(?:samples|couplings))-(\d+-of-\d+)/(.+)", out)
    if shard:
        return f"{shard[1]}/{shard[3]}-{shard[2]}"
    file = re.fullmatch(r"(tables|figures)/(\w+)\.\w+", out)
    return out if not file else file[1] if file[2] in ("tables", "figure02") else file[2]
