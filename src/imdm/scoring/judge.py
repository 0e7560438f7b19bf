"""The judge: a causal language model that says how likely a text is.

As published GPT-2 Large; without a hub, a small GPT-2 trained on its own part of the corpus. Either way one file
stands for it, judge.json, which the stage that made it wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from imdm.data.blocks import Dataset
from imdm.data.tokenizer import END
from imdm.errors import UserError
from imdm.files import said
from imdm.params import LanguageSettings, Scoring
from imdm.scoring.exact import ExactJudge
from imdm.stage.artifact import AboutJudge, read_output, verify

TRAINED = "trained judge"
_MOST_LAYERS = 1000  # all of which transformers would build before it looks for their weights


@dataclass(frozen=True)
class Judge:
    """A loaded judge.

    Attributes:
        model: causal LM of transformers, in eval mode.
        tokenizer: its own, without padding or truncation; special tokens in a text are recognised.
        end_id: its end-of-text token: <|endoftext|> where it knows that, as an instruction-tuned model's own ends a turn.
        name: for tables.
        revision: commit of a hub's model, None for one from a folder.
        precision: of its weights and activations.
        max_length: longest input in tokens.
        trained: whether train_judge made it, for one vocabulary.
        held_out_perplexity: as its stage measured it; None before that.
    """

    model: Any
    tokenizer: Tokenizer
    end_id: int
    name: str
    revision: str | None
    precision: str
    max_length: int
    trained: bool = False
    held_out_perplexity: float | None = None

    def describe(self) -> dict[str, Any]:
        """What judge.json says of it, but for its perplexity."""
        return {
            "name": "/".join(Path(self.name).parts[-2:]),  # of a folder, its end: tables need no path of this machine
            "source": None if self.trained else self.name,
            "revision": self.revision,
            "precision": self.precision,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "max_length": self.max_length,
        }

    def named(self, scoring: Scoring) -> dict[str, Any]:
        """What results say of the judge that scored them, and of the text that it read."""
        about = {"name": self.name, "precision": self.precision, "held_out_perplexity": self.held_out_perplexity}
        about |= {"revision": self.revision}
        return about | {"retokenize": scoring.retokenize, "clean_up": scoring.clean_up}

    def check_vocabulary(self, data: Dataset, retokenize: bool) -> None:
        """Refuse a judge to which the samples' ids would mean something else.

        Raises:
            UserError: it was trained on another corpus, or ids are to be taken as they are and its vocabulary differs.
        """
        tokenizer = data.tokenizer()
        mask = tokenizer.id_to_token(data.mask_id)  # which no sample holds
        own, other = ({token: i for token, i in of.get_vocab().items() if token != mask} for of in (self.tokenizer, tokenizer))
        if own == other:
            return
        if self.trained:
            raise UserError(f"the judge was trained for another vocabulary than that of {data.path}; run train_judge on this dataset.")
        if not retokenize:
            raise UserError(f"judge {self.name} has another vocabulary than {data.path}; set scoring.retokenize to true.")


AnyJudge = Judge | ExactJudge


def load_judge(path: str | Path, device: torch.device | str = "cpu", precision: str = "float32") -> AnyJudge:
    """Load the judge that a judge.json stands for.

    An exact judge's language is built anew. A trained judge's files lie beside it and must be what train_judge wrote; any other is
    loaded from where judge.json says, a hub's model at the commit that was found then.

    Raises:
        UserError: the file is no judge.json, or as `open_judge`, or the trained judge's files were changed.
    """
    path = Path(path)
    about = read_output(path, AboutJudge, "train_judge, load_judge or exact_judge")
    if "language" in about:
        return ExactJudge(LanguageSettings.model_validate(about["language"]), about["seq_len"])
    if about["source"] is None:
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            verify(path.with_name(name))
        judge = open_trained(path.parent, device, precision)
    else:
        judge = open_judge(about["source"], device, precision, about["revision"])
    return replace(judge, name=about["name"], held_out_perplexity=about["held_out_perplexity"])


def open_trained(folder: Path, device: torch.device | str, precision: str = "float32") -> Judge:
    """The judge whose files train_judge wrote to `folder`; raises as `open_judge`."""
    return replace(open_judge(str(folder), device, precision), name=TRAINED, trained=True)


def open_judge(name: str, device: torch.device | str, precision: str = "float32", revision: str | None = None) -> Judge:
    """Load any causal LM of transformers.

    Code that lies beside the weights never runs, nor is the user asked whether it may; nor does a kernel that config.json names.

    Args:
        name: hub id, or hub id@REVISION; folder; or GGUF file, or folder with one.
        precision: float32 or bfloat16.
        revision: commit of a hub's model; None takes that of `name`, else the newest.

    Raises:
        UserError: it can't be loaded, lacks weights, end-of-text or a longest input, or has no tokenizer of its own; or it is a GGUF
            file, and the packages for it are not installed.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging
    from transformers.utils.hub import cached_file, extract_commit_hash

    shown = said(name)
    logging.set_verbosity_error()  # what it warns of is checked here
    logging.disable_progress_bar()
    try:
        name, options = _located(name, revision)
        config = AutoConfig.from_pretrained(name, **options, trust_remote_code=False)
        layers = getattr(config, "num_hidden_layers", 1)
        if layers not in range(1, _MOST_LAYERS):
            raise ValueError(f"{layers} layers")
        config._attn_implementation = config._experts_implementation = None  # or the hub's code for it would be fetched, and run
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name, **options, config=config, output_loading_info=True, trust_remote_code=False, attn_implementation="sdpa"
        )
        model, info = loaded
        tokenizer = _tokenizer(name, options)
        commit = extract_commit_hash(cached_file(name, "config.json", **options), None) if "revision" in options else None
    except UserError:
        raise
    except Exception as error:  # transformers raises all kinds for what it can't read, as for a class that the folder's own code has
        raise UserError(
            f"the judge {shown} can't be loaded ({said(error)}); set judge.model to a causal LM's id, folder or GGUF file."
        ) from None
    if info["missing_keys"]:  # transformers would draw them at random
        first = min(info["missing_keys"])
        raise UserError(f"the weights of judge {shown} lack {first}; give the file that belongs to the config.json beside it.")
    for weight, parameter in model.named_parameters():
        if not parameter.is_floating_point() or not all(end.isfinite() for end in torch.aminmax(parameter.detach())):
            raise UserError(f"judge {shown} has weights in {weight} that are no finite numbers; give another, or train it again.")
    config, vocabulary = model.config, tokenizer.get_vocab()
    end_id = config.eos_token_id[0] if isinstance(config.eos_token_id, list) and config.eos_token_id else config.eos_token_id
    # transformers makes up a nearly empty tokenizer for a folder without one
    size = max(vocabulary.values(), default=0) + 1
    end_id = end_id if isinstance(end_id, int) else -1
    if end_id not in range(config.vocab_size) or not config.vocab_size / 2 < len(vocabulary) <= size <= config.vocab_size:
        raise UserError(f"judge {shown} has no end-of-text token, no tokenizer or another model's; give a model with its own tokenizer.")
    longest = getattr(config, "max_position_embeddings", None)  # which not every kind of model has
    if not isinstance(longest, int) or longest < 2:
        raise UserError(f"judge {shown} does not say how long its input may be; set judge.model to one such as gpt2-large.")
    return Judge(
        model=model.to(device, getattr(torch, precision)).eval(),
        tokenizer=tokenizer,
        end_id=vocabulary.get(END, end_id),
        name=str(Path(name, options["gguf_file"])) if "gguf_file" in options else name,
        revision=commit,
        precision=precision,
        max_length=longest,
    )


def _located(name: str, revision: str | None) -> tuple[str, dict[str, str]]:
    """What transformers is asked for: a folder or hub id, and gguf_file or revision."""
    path = Path(name).expanduser()
    if path.is_dir() and not (path / "config.json").exists() and (files := sorted(path.glob("*.gguf"))):
        if len(files) > 1:
            raise UserError(f"the judge {name} holds {len(files)} GGUF files; name one of them as judge.model.")
        path = files[0]
    if path.suffix == ".gguf" and path.is_file():
        if absent := [package for package in ("gguf", "accelerate") if find_spec(package) is None]:
            raise UserError(f"a GGUF file needs {' and '.join(absent)}; install them by `pip install -e .[gguf]`, or run `make judge`.")
        return str(path.parent), {"gguf_file": path.name}
    if path.exists():
        return str(path), {}
    repo, _, named = name.partition("@")
    return repo, {"revision": revision or named or "main"}


def _tokenizer(name: str, options: dict[str, str]) -> Tokenizer:
    """The tokenizer of a folder, hub id or GGUF file, without padding or truncation."""
    file = Path(name) / "tokenizer.json"
    if file.is_file() and "gguf_file" not in options:
        tokenizer = Tokenizer.from_file(str(file))
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(name, **options, trust_remote_code=False).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
