"""Tables of a run whose corpus is a language, from a frame made by hand."""

from __future__ import annotations

import pytest

import fake_run
from imdm.params import load_params
from imdm.results import collect, plan
from imdm.results.extras import factorization
from imdm.results.frame import frame_of, select
from imdm.results.tables import examples, language, table04
from script import MICRO

LANGUAGE = MICRO.parent.parent / "presets/language.yaml"


@pytest.fixture(scope="module")
def frame():
    records = []
    for model, share in (("teacher", 20.0), ("oracle", 30.0), ("mdlm/redi", 25.0), ("imdm/redi", 40.0)):
        for steps in (1, 16):
            metrics = {"validity_pct": share * steps / 16, "broken_tokens": 16 / steps, "gen_ppl": 100.0 / steps}
            metrics |= {"nll_valid_nats": 0.66} if steps > 1 else {}
            records += [{"kind": "samples", **fake_run.number(name, value, model=model, steps=steps)} for name, value in metrics.items()]
            text = {"model": model, "steps": steps, "setting": f"[He] of {model}", "value": 1}
            records.append({"kind": "example", "metric": "broken_tokens"} | text)
    records.append({"kind": "reference", **fake_run.number("nll_valid_nats", 0.65, model="test text")})
    return frame_of(records)


def test_every_model_stands_with_its_validity_across_the_steps(frame):
    view = language(frame)
    lines = {name: line for (name, _), line in fake_run.cells(view).items()}
    assert list(lines) == ["Teacher, not distilled", "Oracle, exact marginals", "MDLM: ReDi", "IMDM: ReDi"]
    assert [line["Valid (%), 16 steps"].sort for line in lines.values()] == [20, 30, 25, 40]
    assert lines["IMDM: ReDi"]["Broken words, 1 step"].sort == 16 and lines["IMDM: ReDi"]["NLL, valid, 1 step"].text == "–"
    assert "0.650" in view.caption
    assert [line[-1].text for line in examples(frame).body][:1] == ["[He] of teacher"]


def test_the_oracle_stands_in_the_papers_tables(frame):
    heads = [line[0].text for line in table04(frame).body]
    assert heads.count("Oracle, exact marginals") == 2


def test_a_language_has_tables_and_an_oracle_of_its_own():
    known, plain = load_params(LANGUAGE), load_params(MICRO)
    assert set(plan.main_tables(known)) - set(plan.main_tables(plain)) == {"language", "examples"}
    assert plan.models(known)[:2] == ["teacher", "oracle"] and "oracle" not in plan.models(plain)
    assert plan.factorized(known)[:3] == ["teacher", "oracle", "mdlm/sdtt3"]


def test_what_is_exact_stands_under_the_estimate(tmp_path):
    params = load_params(LANGUAGE, ["compare={variants: [mdlm], recipes: [redi]}"])
    for model in plan.factorized(params):
        fake_run.factorization(tmp_path / "factorization" / model, model, 1.0, noise=False)
    rows = [fake_run.number("total_correlation_nats", 52.0, 0, steps=1), fake_run.number("theorem_bound_nats", 2.2, 0, steps=1)]
    fake_run.artifact(tmp_path / "judge", "exact_judge", {"judge.json": {"rows": rows}})
    frame = collect.factorization(tmp_path, params)
    assert select(frame, model="data", metric="error_m16_nats_per_sequence")["value"].tolist() == [52.0]
    line = fake_run.cells(factorization(frame))["Data, exact", "1"]
    assert line["A sequence"].sort == 52.0 and line["Theorem 4.1's bound"].sort == 2.2
