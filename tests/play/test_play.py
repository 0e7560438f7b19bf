"""imdm play and imdm keep: models of a run found, kept, served and judged, by the library's own sampler and judge."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import judges
from imdm.data.blocks import Dataset
from imdm.data.tokenizer import train_bpe
from imdm.errors import UserError
from imdm.params import Scoring
from imdm.play import keep, server
from imdm.play.server import Models
from imdm.play.writer import Writer, models_in
from imdm.publish.public import load_public
from imdm.scoring.judge import load_judge
from imdm.scoring.metrics import judge_samples
from script import called

JSON = {"Content-Type": "application/json"}
Ask = Callable[..., tuple[int, dict[str, Any]]]


def asked(port: int, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body.encode() if body else None, headers)
    answer = connection.getresponse()
    text, about = answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return answer.status, text, about


@pytest.fixture
def ask(port: int) -> Ask:
    def post(headers: dict[str, str] | None = None, **wanted: Any) -> tuple[int, dict[str, Any]]:
        status, text, _ = asked(port, "POST", "/write", json.dumps(wanted), **JSON | (headers or {}))
        return status, json.loads(text)

    return post


def test_an_answer_is_what_the_model_writes_and_the_judge_says(run, ask):
    model = run / "models/imdm/sdtt3"
    status, answer = ask(model="imdm/sdtt3", text="the list", steps=3, seed=5)
    assert status == 200 and answer["steps"] == 3 and 1 <= answer["calls"] <= 3 and answer["seconds"] > 0
    writer = Writer.open(str(model))
    written = writer.write("the list", 3, 5)[0]
    assert answer["pieces"] == [list(piece) for piece in written.pieces]
    given = "".join(text for text, step in answer["pieces"] if step < 0)
    assert given == "the list" and {step for _, step in answer["pieces"]} <= {-1, 0, 1, 2}
    # one text of a block, judged as stage score judges it, but for the last token, which nobody wrote
    judged = judge_samples(load_judge(run / "judge/judge.json"), written.tokens[None], writer.data.tokenizer(), Scoring(retokenize=False))
    assert len(written.tokens) == writer.data.seq_len - 1 and written.tokens[0] == writer.data.bos_id
    assert answer["gen_ppl"] == pytest.approx(float(np.exp(judged.nll[0] / judged.tokens[0])))


def test_gaps_are_filled_and_nothing_follows(ask):
    _, answer = ask(model="teacher", text="the ___ of", steps=2)
    texts = [text for text, _ in answer["pieces"]]
    assert "".join(texts).startswith("the ") and "".join(texts).endswith(" of") and len([s for _, s in answer["pieces"] if s >= 0]) <= 3


def test_equal_requests_get_equal_texts(ask):
    first, again, other = (ask(model="teacher", steps=2, seed=seed)[1]["pieces"] for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"model": "imdm/redi", "steps": 1}, "there is no model 'imdm/redi'"),
        ({"model": "teacher", "steps": 0}, "steps and count must be from 1"),
        ({"model": "teacher", "steps": 1, "seed": -1}, "the seed from 0"),
        ({"model": "teacher", "steps": 1, "temperature": 0.0}, "temperature positive"),
        ({"model": "teacher", "steps": 1, "text": "module " * 20}, "room for 10; shorten it."),
        ({"model": "teacher", "steps": "1"}, "the request is wrong (steps: "),
        ({"model": "teacher"}, "the request is wrong (steps: "),
        ({"model": "teacher", "steps": 1, "path": "/etc/passwd"}, "the request is wrong (path: "),
    ],
)
def test_mistakes_are_sentences(ask, wanted, words):
    status, answer = ask(**wanted)
    assert status == 400 and words in answer["error"] and list(answer) == ["error"]


def test_only_this_machines_own_page_is_answered(port, ask):
    status, answer = ask({"Host": "evil.example:80"}, model="teacher", steps=1)
    assert status == 403 and "127.0.0.1" in answer["error"]
    assert ask({"Content-Type": "text/plain"}, model="teacher", steps=1)[0] == 400  # what a form of another site can send
    assert asked(port, "GET", "/", Host="evil.example")[0] == 403
    assert asked(port, "GET", "/../../etc/passwd")[0] == 404
    assert asked(port, "POST", "/write", "{", **JSON)[0] == 400
    assert asked(port, "POST", "/write", **JSON, **{"Content-Length": "99999999"})[0] == 400


def test_the_page_names_the_models_and_needs_nothing_else(port):
    status, page, headers = asked(port, "GET", "/")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    assert page.count('<option value="imdm/sdtt3"') == 2 and "http:" not in page and "https:" not in page


def test_a_name_is_escaped(run, tmp_path):
    evil = tmp_path / 'models/x/"><script>alert(1)<'
    evil.mkdir(parents=True)
    (evil / "model.safetensors").write_bytes((run / "models/teacher/model.safetensors").read_bytes())
    assert "<script>alert" not in Models([tmp_path]).page()


def test_kept_models_write_alone(run, tmp_path):
    """Weights rounded to bfloat16 and their judge, with nothing of the run beside them."""
    out = tmp_path / "reference/mine"
    done = called(keep.main, [str(run), "teacher", "imdm/sdtt3", "--out", str(out), "--judge", "--license", "mit"])
    assert done.returncode == 0, done.stderr
    assert list(models_in(out)) == ["teacher", "imdm/sdtt3"]
    folder = out / "models/imdm/sdtt3"
    assert {"config.json", "tokenizer.json", "model.safetensors", "README.md", "dataset.json"} <= {path.name for path in folder.iterdir()}
    kept, whole = (load_public(str(of)).network().state_dict() for of in (folder, run / "models/imdm/sdtt3"))
    for name, weight in whole.items():
        if "adaLN" in name or "sigma_map" in name:  # constants
            continue
        same = torch.equal(kept[name], weight) if name.endswith("inv_freq") else torch.equal(kept[name], weight.bfloat16().float())
        assert same, name
    models = Models([out])
    answer = models.answer(server.Request(model="imdm/sdtt3", text="the", steps=2, seed=1))
    assert answer["gen_ppl"] > 1 and "".join(text for text, step in answer["pieces"] if step < 0) == "the"
    mine, tokens = Models([run]).judges["teacher"], judges.packed(1)[0]
    data = Dataset.open(folder / "dataset.json")
    assert models.judges["teacher"].gen_ppl(tokens, data) == pytest.approx(mine.gen_ppl(tokens, data), rel=0.05)  # bfloat16


def test_mistakes_of_the_commands_are_sentences_and_nothing_is_kept_of_them(run, tmp_path, port):
    out, kept = tmp_path / "out", tmp_path / "kept"
    (kept / "models").mkdir(parents=True)
    for main, words, said in (
        (keep.main, [run, "imdm/redi", "--out", out], "has no model imdm/redi; it has teacher, imdm/sdtt3."),
        (keep.main, [run, "teacher", "--most", "0.01", "--out", out], "MB, more than 0.01; keep fewer models"),
        (keep.main, [run, "teacher", "--out", kept], "exists already"),
        (server.main, [tmp_path], "holds no model"),
        (server.main, [run, "--port", port], f"port {port} can't be used (Address already in use)"),
        (server.main, [run, run], "two of the folders hold a model called mine: "),
    ):
        done = called(main, [*map(str, words)])
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(out.rglob("*")) and list(kept.rglob("*")) == [kept / "models"]


def test_what_is_no_model_names_those_that_are(run):
    for name in (run, run / "models/teachr", run / "models/mdlm/sdtt/model.safetensors"):
        with pytest.raises(UserError, match="is no model; .*models has teacher, imdm/sdtt3"):
            Writer.open(str(name))


def test_a_judge_of_another_vocabulary_is_refused(run, tmp_path):
    models = Models([run])
    other = Dataset.open(judges.make_dataset(tmp_path, train_bpe(judges.TEXT[:1] * 4, 280)))
    with pytest.raises(UserError, match="another vocabulary"):
        models.judges["teacher"].gen_ppl(judges.packed(1)[0], other)
