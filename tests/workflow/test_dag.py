"""One graph: what DVC, the preflight and Snakemake's own triggers make of the Snakefile.

What makes Snakemake run a job again is tried on stub stages, which write what the real ones would and cost nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from checkout import ROOT, clone, run
from dag import dvc_stages, graph, stub
from imdm.errors import UserError
from imdm.params import load_params
from imdm.stage.reads import declared, keys, of_stages, resolve

BY_HAND = {"export", "preflight", "generate"}
PRESETS = [path.stem for path in sorted((ROOT / "presets").glob("*.yaml"))]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="module")
def dvc(project: Path) -> dict[str, dict[str, object]]:
    return dvc_stages(project)


@pytest.fixture(scope="module")
def jobs(project: Path) -> dict[str, graph.Job]:
    return {job.command: job for job in graph.jobs(project, "all")}


def test_dvc_yaml_is_written_from_the_snakefile(project):
    before = (project / "dvc.yaml").read_text()
    run(project, sys.executable, "workflow/write_dvc.py")
    assert (project / "dvc.yaml").read_text() == before, "run `make docs`"


def test_dvc_has_the_same_commands_inputs_and_outputs(dvc, jobs):
    assert {command: (stage["inputs"], stage["outputs"]) for command, stage in dvc.items()} == {
        command: (set(job.inputs), set(job.outputs)) for command, job in jobs.items()
    }


def test_no_parameter_reaches_a_shell_by_dvc(tmp_path):
    """DVC would run the words that `run` holds before any code of the project; the stage refuses them, whichever one is asked for."""
    project = clone(tmp_path, "tests/micro.yaml", dvc=True)
    assert "${" not in "".join(stage["cmd"] for stage in yaml.safe_load((project / "dvc.yaml").read_text())["stages"].values())
    text = (project / "params.yaml").read_text()
    hostile = {"run: 'x; touch run.txt'": r"(?m)^run: .*$", "seq_len: '8; touch length.txt'": r"seq_len: \d+"}
    hostile["name: '`touch name.txt`'"] = "name: pydocs"
    for words, place in hostile.items():
        (project / "params.yaml").write_text(re.sub(place, words, text, count=1))
        for more in ([], ["--single-item", "synthetic"]):
            done = subprocess.run(["dvc", "repro", *more], cwd=project, capture_output=True, text=True)
            assert done.returncode and "is wrong" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list(project.glob("**/*.txt"))


def test_dvc_tracks_exactly_the_parameters_that_a_stage_reads(dvc, jobs):
    for command, stage in dvc.items():
        job = jobs[command]
        read = keys(declared(ROOT / f"stages/{job.stage}.py"), "variant" in job.arguments)
        blocks = {key for key in read if any(other.startswith(f"{key}.") for other in read)}
        assert {key for key in read if key.split(".")[0] not in blocks} | blocks == stage["params"], stage["name"]


def test_every_stage_script_is_used(project):
    used = {job.stage for job in graph.jobs(project, "all", "extras", "paper")}
    there = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}
    assert used | BY_HAND | {"load_mdlm", "load_judge", "exact_judge", "oracle", "merge", "external"} == there
    assert set(of_stages(ROOT / "stages")) == there - {"preflight", "generate"}  # which write nothing


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_graph(preset):
    jobs = graph.jobs(ROOT, "all", "extras", "paper", "--configfile", f"presets/{preset}.yaml")
    made = {path for job in jobs for path in job.outputs}
    assert {path for job in jobs for path in job.inputs} <= made
    assert len({job.out for job in jobs}) == len(jobs)


def test_extras_add_what_lies_beside_the_comparison(project, jobs):
    added = [job for job in graph.jobs(project, "extras") if job.command not in jobs]
    assert {job.stage for job in added} == {"audit", "factorization", "sample", "score", "exhibit", "report"}
    assert all("/dilated/" in job.out for job in added if job.stage in ("sample", "score"))


@pytest.mark.parametrize("preset", ["lm1b", "owt"])
def test_the_paper_waits_for_no_more_than_it_has(preset):
    stages = {job.stage for job in graph.jobs(ROOT, "paper", "--configfile", f"presets/{preset}.yaml")}
    assert not stages & {"frontier", "audit", "factorization", "dictionary", "chain", "keyed"} and {"sample", "score", "tabulate"} < stages


def test_a_missing_public_file_leaves_out_its_rows_alone(tmp_path):
    project, words = clone(tmp_path), ("paper", "--configfile", str(ROOT / "presets/owt.yaml"))
    without = {job.out for job in graph.jobs(project, *words)}
    (project / "checkpoints").mkdir()
    (project / "checkpoints/sdtt7-di4c2.ckpt").touch()
    added = {job.out.removeprefix("results/owt/") for job in graph.jobs(project, *words) if job.out not in without}
    rows = {f"{folder}/public/di4c" for folder in ("models", "samples", "scores", "conditional/samples", "conditional/scores")}
    assert added == rows | {"figures/figure10.html", "figures/figure11.html"}


@pytest.mark.parametrize(
    ("exhibit", "variants"), [("tables/table14.csv", {"imdm", "imdm-d64", "teacher"}), ("figures/figure10.html", {"mdlm", "teacher"})]
)
def test_an_exhibit_needs_its_own_models_alone(project, exhibit, variants):
    outputs = [path for job in graph.jobs(project, f"results/tiny/{exhibit}") for path in job.outputs]
    assert {path.split("/")[3] for path in outputs if path.startswith("results/tiny/models/")} == variants


def test_what_is_not_distilled_is_sampled_at_steps_of_its_own(project):
    jobs = {job.out: job for job in graph.jobs(project, "results/tiny/tables/table12.csv", "--config", "paper={scratch_steps: 20}")}
    sampled = jobs["results/tiny/at20/samples/imdm/scratch"]
    assert sampled.arguments["steps"] == "20" and "results/tiny/at20/scores/teacher" in jobs
    assert "results/tiny/samples/teacher" not in jobs


def test_the_scoreboard_needs_no_model_of_ours(project):
    words = ("--config", "external={theirs: {samples: params.yaml, steps: 3}}")
    jobs = {job.out.removeprefix("results/tiny/"): job for job in graph.jobs(project, "scoreboard", *words)}
    made = {"samples/external/theirs", "scores/external/theirs", "controls", "reference", "judge", "tables/scoreboard.csv"}
    assert set(jobs) == made | {"data/pydocs-carry-32"}
    arguments = jobs["samples/external/theirs"].arguments
    assert (arguments["samples"], arguments["name"], arguments["steps"]) == ("params.yaml", "theirs", "3")
    beside = {job.out: job for job in graph.jobs(project, "all", *words)}
    for page in ("tables/tables.csv", "report.html"):
        assert any("external/theirs" in path for path in beside[f"results/tiny/{page}"].inputs)
    assert not any("external" in out for out in beside if "/samples/" not in out and "/scores/" not in out)


def test_samples_that_are_not_there_are_named(project):
    with pytest.raises(RuntimeError, match="external.theirs.samples: there is no file nothing.npy; correct the path"):
        graph.jobs(project, "scoreboard", "--config", "external={theirs: {samples: nothing.npy, steps: 3}}")


def test_redi_may_differ_by_variant(project):
    """The paper's ReDi and another are two rows of one run; a change of the latter's settings touches no other model."""
    sets = ["variants.imdm-fresh.redi.steps=7", "variants.imdm-fresh.redi.keys=fresh"]
    models = [f"results/tiny/models/{variant}/redi/model.safetensors" for variant in ("imdm", "imdm-fresh")]
    words = ["--config", "variants={imdm-fresh: {redi: {keys: fresh, steps: 7}}}"]
    jobs = {job.out.split("/")[3]: job for job in graph.jobs(project, *models, *words) if job.rule == "redi"}
    assert "variant" not in jobs["imdm"].arguments and jobs["imdm-fresh"].arguments["variant"] == "imdm-fresh"
    assert [job.arguments["couplings"] for job in jobs.values()] == ["results/tiny/couplings/teacher/couplings.safetensors"] * 2
    params, reads = load_params(ROOT / "params.yaml", sets), declared(ROOT / "stages/redi.py")
    own, shared = (resolve(params, reads, variant)["redi"] for variant in ("imdm-fresh", "imdm"))
    assert own == shared | {"steps": 7, "keys": "fresh"} and shared == resolve(params, reads)["redi"]


def test_models_are_made_from_what_their_names_say(project):
    wanted = ("mdlm/sdtt2-di4c2", "imdm-signs/sdtt1-keyed", "imdm/sdtt1-redi", "imdm/finetune", "imdm/scratch")
    jobs = graph.jobs(project, *(f"results/tiny/models/{model}/model.safetensors" for model in wanted))
    starts = {}
    for job in jobs:
        start = job.arguments.get("init") or job.arguments.get("teacher")
        starts[job.out.removeprefix("results/tiny/models/")] = start and start.removeprefix("results/tiny/models/").rpartition("/")[0]
    assert starts["mdlm/sdtt2-di4c2"] == "mdlm/sdtt2-di4c1" and starts["mdlm/sdtt2-di4c1"] == "mdlm/sdtt2"
    assert starts["imdm-signs/sdtt1-keyed"] == "imdm-signs/sdtt1" and starts["imdm-signs/sdtt1"] == "imdm-signs/teacher"
    assert starts["imdm/sdtt1-redi"] == "imdm/sdtt1" and starts["imdm/finetune"] == "imdm/teacher" and starts["imdm/scratch"] is None
    assert starts["imdm/teacher"] == "teacher"


def test_replicates_are_trained_beside_the_first_seed(project):
    """The parents of a replicate are replicates; data, judge, teacher and its couplings are common."""
    variants = ("compare={variants: [mdlm, imdm, mdlm-seed1, imdm-seed1]}",)
    jobs = {job.out.removeprefix("results/tiny/"): job for job in graph.jobs(project, "all", "--config", *variants)}
    counts = Counter(job.rule for job in jobs.values())
    assert (counts["pretrain"], counts["initialize"], counts["sdtt"], counts["couple"], counts["redi"]) == (1, 5, 12, 5, 8)
    models = "results/tiny/models/imdm-seed1"
    assert f"{models}/sdtt3/model.safetensors" in jobs["couplings/imdm-seed1/sdtt3"].inputs
    couplings = {"results/tiny/couplings/imdm-seed1/sdtt3/couplings.safetensors", f"{models}/sdtt3/model.safetensors"}
    assert set(jobs["models/imdm-seed1/sdtt3-redi"].inputs) == couplings
    common = {"results/tiny/couplings/teacher/couplings.safetensors", f"{models}/teacher/model.safetensors"}
    assert set(jobs["models/imdm-seed1/redi"].inputs) == common


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("imdm/sdtt9", "did you mean sdtt"),
        ("imdn/redi", "did you mean imdm?"),
        ("imdm/keyed", "keyed is for a variant with mask: gumbel"),
        ("imdm/di4c1", "Di4C is for a variant with mask: single"),
        ("public/none", "public declares nothing"),
    ],
)
def test_a_model_that_does_not_exist_is_refused_by_name(model, words):
    with pytest.raises(UserError, match=re.escape(words)):
        load_params(ROOT / "params.yaml").check_model(model)


def test_snakemake_refuses_it_in_the_same_words(project):
    with pytest.raises(RuntimeError, match=r"did you mean imdm\?"):
        graph.jobs(project, "results/tiny/scores/imdn/redi/scores.json")


def test_other_parameter_files_reach_the_commands(project):
    (project / "other").mkdir()
    (project / "other/other.yaml").write_text("run: other\ncompare: {recipes: [imdm/sdtt2, mdlm/sdtt1-redi]}\n")
    (project / "other/more.yaml").write_text("noise_dim: 32\n")
    jobs = graph.jobs(project, "all", "--configfile", "other/other.yaml", "other/more.yaml", "--config", "noise_dim=64")
    assert all(job.command.endswith(" --params other/other.yaml other/more.yaml --set noise_dim=64") for job in jobs)
    outputs = {path for job in jobs for path in job.outputs}
    assert {"results/other/scores/imdm/sdtt2/scores.json", "results/other/scores/mdlm/sdtt1-redi/scores.json"} <= outputs


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("noise_dims=64", "noise_dims is not a parameter; did you mean noise_dim?"),
        ("noise_dim=010", "noise_dim = '010' is wrong"),
        ("redi={steps: '7'}", "redi.steps = '7' is wrong"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(project, word, fault):
    """Snakemake would read 10, and the same of 7 and '7'."""
    with pytest.raises(AssertionError, match=re.escape(fault)):
        run(project, "snakemake", "-n", "--config", word)


def test_a_mapping_of_set_is_merged_as_a_file_is(tmp_path):
    (tmp_path / "changes.yaml").write_text("redi: {steps: 7}\n")
    by_file = load_params([ROOT / "params.yaml", tmp_path / "changes.yaml"])
    assert by_file == load_params(ROOT / "params.yaml", ['redi={"steps": 7}']) == load_params(ROOT / "params.yaml", ["redi.steps=7"])


def test_the_resolved_parameters_are_an_experiment_of_their_own(project, tmp_path):
    command = ("env", "PYTHONPATH=src", sys.executable, "-m", "imdm.params")
    whole = run(project, *command, "params.yaml", "--set", "noise_dim=64")
    (tmp_path / "params.yaml").write_text(whole)
    again = run(project, *command, str(tmp_path / "params.yaml"))
    assert again == whole and yaml.safe_load(whole)["noise_dim"] == 64


def test_snakemake_runs_again_what_a_parameter_touches_and_nothing_else(tmp_path):
    project = clone(tmp_path, "tests/micro.yaml")
    stub(project, "all")
    run(project, "snakemake", "--cores", "2", "--quiet")
    assert not graph.jobs(project, "all", force=False)
    params = project / "params.yaml"
    params.write_text(params.read_text() + "\n# a comment\n")
    assert not graph.jobs(project, "all", force=False)
    again = graph.jobs(project, "all", "--config", "noise_dim=64", force=False)
    counts = Counter(job.rule for job in again)
    assert counts.pop("sdtt") == counts.pop("initialize") == counts.pop("couple") == 1
    shown = {"tabulate", "plot", "exhibit_table", "exhibit_figure", "report"}
    assert set(counts) == {"sample", "score", "frontier", "redi"} | shown
    assert all("mdlm" not in job.command for job in again)
