"""Parameters: mistakes are one sentence that names the key or file, YAML means one thing, and names of models come apart."""

from __future__ import annotations

import os

import pytest

from imdm.errors import UserError
from imdm.params import load_params, parse_recipe, parse_variant, trained
from script import MICRO


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("nois_dim=64", ["nois_dim is not a parameter", "did you mean noise_dim?"]),
        ("redi.step=3", ["redi.step is not a parameter", "did you mean steps?"]),
        ("sampling.stepz=3", ["sampling.stepz", "did you mean steps?"]),
        ("variants.imdm.noise=1", ["variants.imdm.noise is not a parameter"]),
        ("noise_dim=wide", ["noise_dim = 'wide' is wrong"]),
        ("noise_dim=-1", ["noise_dim = -1 is wrong", "greater than 0"]),
        ("sampling.steps=[1,-2]", ["sampling.steps.1 = -2 is wrong"]),
        ("couplings.steps=0", ["couplings.steps = 0 is wrong"]),
        ("corpus.seq_len=3", ["corpus.seq_len = 3 is wrong"]),
        ("corpus.name=books", ["corpus.name = 'books' is wrong"]),
        ("corpus.name=files", ["corpus: path must be a glob"]),
        ("network.heads=3", ["network.hidden_size must be a multiple of network.heads"]),
        ("compare.recipes=[reedi]", ["'reedi'"]),
        ("compare.recipes=[sdtt9-redi]", ["'sdtt9-redi'", "K up to 1"]),
        ("compare.recipes=[other-seed1/redi]", ["variants does not declare 'other-seed1'"]),
        ("compare.variants=[imdn]", ["'imdn'", "does not declare"]),
        ("compare.variants=[imdm, mdlm-seed1]", ["'mdlm-seed1' without 'mdlm'"]),
        ("compare.variants=[imdm, other-seed1]", ["'other-seed1' without 'other'"]),
        ("variants.imdm-seed1={mask: infinite}", ["-seedN is for replicates"]),
        ("compare.recipes=[imdm/di4c1]", ["imdm/di4c1", "mask: single"]),
        ("compare.recipes=[imdm/keyed]", ["imdm/keyed", "noise_dist: rademacher", "noise_dim of at least 32"]),
        ("keyed.teacher_steps=1", ["keyed.teacher_steps = 1 is wrong"]),
        ("compare.recipes=[public/mdlm]", ["public/mdlm", "public declares nothing"]),
        ("paper.scale=[imdm-s3]", ["paper.scale", "'imdm-s3'"]),
        ("paper.exhibits=[table15]", ["paper.exhibits.0 = 'table15' is wrong"]),
        ("teacher.stage=load_mdlm", ["teacher: checkpoint must be given"]),
        ("judge.stage=load_judge", ["judge: model must be given"]),
        ("conditional.scored_tokens=17", ["conditional.scored_tokens", "at most corpus.seq_len"]),
        ("run=tiny.partial", ["'tiny.partial' ends in .partial or meta.json"]),
        ("run=..", ["run = '..' is wrong"]),
        ("public={a..b: {checkpoint: c}}", ["public.a..b"]),
        ("sdtt.rounds=0", ["sdtt.rounds = 0 is wrong"]),
    ],
)
def test_mistakes(override, words):
    with pytest.raises(UserError) as caught:
        load_params(MICRO, [override])
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text and "the command line" in text


def test_a_mistake_is_blamed_on_where_it_stands(tmp_path):
    (tmp_path / "mine.yaml").write_text("sdtt: {steps: -1}")
    (tmp_path / "other.yaml").write_text("redi: {steps: 3}")
    for files, overrides, place in (
        (["mine.yaml", "other.yaml"], [], f"{tmp_path / 'mine.yaml'}: sdtt.steps"),
        (["mine.yaml"], ["sdtt.steps=0"], "the command line: sdtt.steps = 0"),
        (["other.yaml"], ["compare.recipes=[reedi]"], f"{tmp_path / 'other.yaml'} and the command line: "),
    ):
        with pytest.raises(UserError) as caught:
            load_params([tmp_path / name for name in files], overrides)
        assert str(caught.value).startswith(place)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.yaml", None, "does not exist"),
        ("", None, "is a folder"),
        ("bad.yaml", b"run: [", "not valid YAML"),
        ("list.yaml", b"- 1", "must hold a mapping"),
        ("utf16.yaml", "run: a".encode("utf-16"), "not UTF-8"),
        ("twice.yaml", b"run: a\nrun: b\n", "twice"),
        ("deep.yaml", b"run: " + b"[" * 20_000, "deeply"),
    ],
)
def test_what_is_no_parameter_file(tmp_path, name, content, words):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        load_params(tmp_path / name)


def test_a_pipe_is_no_parameter_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UserError, match="is a pipe"):
        load_params(tmp_path / "pipe.yaml")


VALUES = ("true", "010", "1:30", "0x10", "16.0", "{a: 1, a: 2}", "[", "[" * 5000, "!!timestamp x", "&a [*a]")
OTHERS = (
    *(f"noise_scale={value}" for value in (".inf", "1e999", ".nan")),
    "runtime.threads=1000000",
    "corpus.workers=100000",
    "runtime.compile=yes",
    'corpus.path="a\\0b"',
    "run=x; touch y",
    "seeds.train=4294967296",
)


@pytest.mark.parametrize("override", [*(f"noise_dim={value}" for value in VALUES), *OTHERS])
def test_values_that_readers_of_yaml_take_differently(override):
    with pytest.raises(UserError) as caught:
        load_params(MICRO, [override])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_an_override_is_key_and_value():
    with pytest.raises(UserError, match="KEY=VALUE"):
        load_params(MICRO, ["noise_dim"])


def test_overrides_reach_a_variant():
    params = load_params(MICRO, ["noise_dim=99", "variants.wide={noise_dim: 7, noise_dist: gaussian}"])
    assert params.mask_settings("imdm").noise_dim == 99 and params.mask_settings("mdlm").mask == "single"
    assert (params.mask_settings("wide").noise_dim, params.mask_settings("wide").noise_dist) == (7, "gaussian")
    assert params.mask_settings("wide-seed3") == params.mask_settings("wide")
    with pytest.raises(UserError, match="variants has no 'other'"):
        params.mask_settings("other")


@pytest.mark.parametrize(
    ("name", "parts"),
    [("imdm", ("imdm", 0)), ("imdm-s0.5-seed12", ("imdm-s0.5", 12)), ("imdm-seed0", ("imdm-seed0", 0)), ("imdm-seeds", ("imdm-seeds", 0))],
)
def test_names_of_replicates(name, parts):
    assert parse_variant(name) == parts


@pytest.mark.parametrize(
    "recipes",
    [
        ["redi"],
        ["sdtt1", "sdtt2"],
        ["sdtt1", "sdtt2", "sdtt2-redi"],
        ["di4c1", "di4c2"],
        ["sdtt1", "sdtt1-di4c1", "sdtt1-di4c2"],
        ["scratch"],
        ["finetune"],
        ["keyed"],
        ["sdtt1", "sdtt2", "sdtt2-keyed"],
    ],
    ids=lambda recipes: recipes[-1],
)
def test_a_recipe_needs_those_before_it(recipes):
    assert trained(f"imdm/{recipes[-1]}") == [f"imdm/{recipe}" for recipe in recipes]
    assert parse_recipe(recipes[-1]).parent == (recipes[-2] if len(recipes) > 1 else "teacher")


@pytest.mark.parametrize(
    "name", ["sdtt0", "sdtt", "redi2", "redi-sdtt1", "di4c", "sdtt1-redi-di4c1", "keyed2", "redi-keyed", "teacher", ""]
)
def test_what_is_no_recipe(name):
    assert parse_recipe(name) is None
