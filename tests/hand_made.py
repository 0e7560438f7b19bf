"""Jobs made by hand, as the workflow would list them: one line of models with what is done to each."""

from __future__ import annotations

from types import SimpleNamespace

from checkout import ROOT
from imdm.cost.estimate import Estimate, Machine, estimate
from imdm.params import Params
from imdm.stage.gpus import find_gpu
from imdm.stage.reads import of_stages

READS = of_stages(ROOT / "stages")
RUN = "results/run"


def job(stage: str, out: str, *waits: str, **arguments: str) -> SimpleNamespace:
    """A job that writes one file in `out` and waits for those that write to `waits`."""
    return SimpleNamespace(stage=stage, out=out, arguments=arguments, inputs=[f"{wait}/file" for wait in waits], outputs=[f"{out}/file"])


def model_file(name: str) -> str:
    return f"{RUN}/models/{name}/model.safetensors"


def experiment(params: Params) -> list[SimpleNamespace]:
    """IMDM by one round of SDTT and ReDi, fine-tuned and from scratch, keyed, and what is made of it."""
    models, teacher = f"{RUN}/models", params.teacher.stage
    student = f"{models}/imdm/sdtt1-redi"
    shard = {"shard": f"1/{params.shards.couplings}"} if params.shards.couplings > 1 else {}
    return [
        job("report", f"{RUN}/report.html", f"{RUN}/tables"),
        job("tabulate", f"{RUN}/tables", f"{RUN}/scores/imdm/sdtt1-redi", f"{RUN}/frontier/imdm/sdtt1-redi"),
        job("tokenize_pack", "data/corpus"),
        job(teacher, f"{models}/teacher", "data/corpus"),
        job("initialize", f"{models}/imdm/teacher", f"{models}/teacher", teacher=model_file("teacher"), variant="imdm"),
        job("sdtt", f"{models}/imdm/sdtt1", f"{models}/imdm/teacher", teacher=model_file("imdm/teacher"), round="1"),
        job("couple", f"{RUN}/couplings/imdm/sdtt1", f"{models}/imdm/sdtt1", teacher=model_file("imdm/sdtt1"), **shard),
        job("redi", student, f"{RUN}/couplings/imdm/sdtt1", init=model_file("imdm/sdtt1")),
        job("finetune", f"{models}/imdm/finetune", f"{models}/imdm/teacher", init=model_file("imdm/teacher")),
        job("keyed", f"{models}/imdm/keyed", f"{models}/imdm/teacher", teacher=model_file("imdm/teacher")),
        job(params.judge.stage, f"{RUN}/judge", "data/corpus"),
        job("reference", f"{RUN}/reference", f"{RUN}/judge"),
        job("sample", f"{RUN}/samples/imdm/sdtt1-redi", student, model=model_file("imdm/sdtt1-redi")),
        job("score", f"{RUN}/scores/imdm/sdtt1-redi", f"{RUN}/samples/imdm/sdtt1-redi", f"{RUN}/reference"),
        job("frontier", f"{RUN}/frontier/imdm/sdtt1-redi", student, f"{RUN}/judge", model=model_file("imdm/sdtt1-redi")),
        job("audit", f"{RUN}/audit/imdm/sdtt1-redi", student, model=model_file("imdm/sdtt1-redi"), teacher=model_file("imdm/sdtt1")),
    ]


def estimated(params: Params, gpu: str = "h100", root: str = "/nowhere") -> Estimate:
    """Of `experiment`, where nothing has been made yet."""
    return estimate(params, experiment(params), READS, Machine.of(find_gpu(gpu)), ROOT / root)
