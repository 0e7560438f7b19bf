"""A run whose models write, and the server of its page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import judges
from imdm.data.blocks import Dataset
from imdm.network.checkpoint import save_network
from imdm.params import load_params, resolved_yaml
from imdm.play.server import Models, serve
from networks import small_network
from script import MICRO


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/mine with a teacher and a student, its judge and its parameters, and the corpus where the run's project has it."""
    project = tmp_path_factory.mktemp("project")
    params = load_params(MICRO, ["run=mine", "scoring.retokenize=false"])
    data = Dataset.open(judges.make_dataset(project / "data" / params.corpus.folder))
    run = project / "results/mine"
    sizes = {"vocab_size": data.vocab_size, "mask_id": data.mask_id, "seq_len": data.seq_len, "tokenizer_sha256": data.tokenizer_sha256}
    for name, seed, mask in (("teacher", 0, "single"), ("imdm/teacher", 0, "infinite"), ("imdm/sdtt3", 1, "infinite")):
        (run / "models" / name).mkdir(parents=True)
        save_network(run / "models" / name / "model.safetensors", small_network(seed, mask=mask, **sizes))
    judges.make_judge(run / "judge")
    (run / "params.yaml").write_text(resolved_yaml(params))
    return run


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    with serve(Models([run]), 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_port
        running.shutdown()
        thread.join()
