"""Figures 4 and 6 to 13, samples to read."""

from __future__ import annotations

import re

import fake_run
from html_page import Page
from imdm.data.blocks import Dataset
from imdm.results.plan import PAGES


def test_pages_are_one_file_and_escape_what_samples_hold(run):
    for name in PAGES:
        page = Page((run / f"figures/{name}.html").read_text())
        assert not page.open and "script" not in page.tags and all(address.startswith("data:") for address in page.addresses)
    assert "&lt;script&gt;alert" in re.sub("<[^>]*>", "", (run / "figures/figure06.html").read_text())


def test_each_page_is_of_its_model_and_steps(run):
    expected = {"figure06": ("teacher", 4), "figure07": ("teacher", 8), "figure10": (fake_run.DI4C, 4), "figure13": ("imdm/sdtt3-redi", 8)}
    for name, (model, steps) in expected.items():
        text = (run / f"figures/{name}.html").read_text()
        assert f"at {steps} steps</h1>" in text and f'<p class="lead">{model} ' in text


def test_prompts_are_marked_and_shared_by_their_completions(run):
    page = (run / "figures/figure04.html").read_text()
    given = ["".join(re.findall(r'<span class="piece given">([^<]*)</span>', line)) for line in page.splitlines() if "<li>" in line]
    assert len(given) == 12 and [len(set(given[i : i + 3])) for i in range(0, 12, 3)] == [1] * 4 and len(set(given)) == 4
    assert 'class="prompted"' in page and 'class="prompted"' not in (run / "figures/figure06.html").read_text()


def test_a_step_count_that_was_not_sampled_is_replaced_and_told(copy, monkeypatch):
    monkeypatch.setattr(fake_run, "STEPS", (1, 2, 16))
    dataset = Dataset.open(fake_run.dataset_of(copy))
    fake_run.samples(copy / "samples/teacher", "teacher", dataset.tokenizer(), dataset.tokenizer_sha256)
    assert fake_run.exhibit(copy, "figure07") == 0
    text = (copy / "figures/figure07.html").read_text()
    assert "at 16 steps</h1>" in text and "8 steps, at which this run was not sampled" in text
