"""Models that can write: where they lie, in a run, kept of one or exported; and one with its words, kept loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imdm.data.blocks import Dataset
from imdm.data.speller import Pieces, Speller
from imdm.diffusion.counter import row_seeds
from imdm.errors import UserError
from imdm.network.checkpoint import model_name
from imdm.network.network import Network
from imdm.params import TEACHER, Runtime, load_params
from imdm.publish.public import load_public
from imdm.sampling.prompts import text_block
from imdm.sampling.sampler import sample
from imdm.stage.artifact import artifact_files
from imdm.stage.device import prepare_frozen

WEIGHTS = "model.safetensors"
MOST = 65_536  # steps, or texts at once


def models_in(place: Path) -> dict[str, Path]:
    """Every model of a run's folder, of a folder that `imdm keep` wrote, or of an exported one: its name, and its folder.

    Raises:
        UserError: there is none.
    """
    folders = [place] if (place / WEIGHTS).is_file() else [path.parent for path in artifact_files(place / "models") if path.name == WEIGHTS]
    if not folders:
        raise UserError(f"{place} holds no model; name a run's folder, results/RUN, or a folder that `imdm keep` or `imdm export` wrote.")
    named = {model_name(folder.resolve() / WEIGHTS): folder for folder in folders}
    wanted = [name for name in named if not name.endswith(f"/{TEACHER}")]  # VARIANT/teacher writes what the teacher does
    return {name: named[name] for name in sorted(wanted, key=lambda name: ("/" in name, name))}  # the teacher first


def require_model(model: str) -> None:
    """Refuse a path in a run that is no model's; a hub id passes. Raises UserError: it is none; says which models the run has."""
    path = Path(model).expanduser()
    run = path if (path / "models").is_dir() else next((at.parent for at in path.parents if at.name == "models" and at.is_dir()), None)
    if run and not path.is_file() and not (path / WEIGHTS).is_file():
        raise UserError(f"{model} is no model; {run / 'models'} has {', '.join(models_in(run))}.")


def data_of(model: str) -> Path:
    """dataset.json of a model's corpus: the one beside an exported model, or the one that its run's params.yaml names.

    Raises:
        UserError: there is neither.
    """
    path = Path(model).expanduser().absolute()
    folder = path if path.is_dir() else path.parent
    if (folder / "dataset.json").is_file():
        return folder / "dataset.json"
    run = next((parent.parent for parent in folder.parents if parent.name == "models"), None)
    if run is None or not (run / "params.yaml").is_file():
        remedy = f"run `snakemake results/{run.name}/params.yaml` with its parameter file" if run else "name its dataset.json with --data"
        raise UserError(f"nothing beside {model} says which corpus it was trained on; {remedy}.")
    return run.parents[1] / "data" / load_params(run / "params.yaml").corpus.folder / "dataset.json"


@dataclass(frozen=True)
class Written:
    """A text that a model wrote.

    Attributes:
        pieces: text and the step at which it was unmasked, -1 for what was given.
        tokens: the ids behind them with the block's first token in front, int64 [n].
        calls: network calls that it took, at most the number of steps.
    """

    pieces: Pieces
    tokens: np.ndarray
    calls: int


@dataclass(frozen=True)
class Writer:
    """A loaded model and its corpus."""

    data: Dataset
    network: Network
    speller: Speller

    @classmethod
    def open(cls, model: str, data: str | None = None) -> Writer:
        """Load a model.

        Args:
            model: as `load_public` takes it.
            data: dataset.json of the corpus that it was trained on; None where `data_of` finds it.

        Raises:
            UserError: as `require_model`, `load_public`, `Dataset.open` and `data_of`.
        """
        require_model(model)
        corpus = Dataset.open(data or data_of(model))
        network = prepare_frozen(load_public(model, data=corpus).network(), Runtime(compile=False))
        return cls(corpus, network, Speller.of(corpus))

    def write(self, text: str, steps: int, seed: int, temperature: float = 1.0, count: int = 1) -> list[Written]:
        """Continue a text without gaps, or fill the gaps of one: each a run of three underscores or more, a token an underscore.

        Equal arguments give equal texts, and text i is the same whatever `count` is. Steps are dilated: as many tokens in each, far apart.

        Args:
            steps: of the sampler.
            temperature: of the token draw.

        Raises:
            UserError: a number is out of range, or the text is too long for a block.
        """
        if not (0 < steps <= MOST and 0 < count <= MOST and 0 <= seed < 2**62 and 0 < temperature < math.inf):
            raise UserError(f"steps and count must be from 1 to {MOST}, the seed from 0 to 2^62, and the temperature positive.")
        block = text_block(self.data, text)
        seeds = row_seeds(seed, 0, count, self.network.vocab_embed.embedding.device)
        drawn = sample(self.network, seeds, steps, visible=block.visible(count, seeds.device), temperature=temperature, unmasking="dilated")
        rows = zip(*(value.cpu().numpy() for value in (drawn.tokens, drawn.unmasked_at, drawn.calls)), strict=True)
        return [
            Written(self.speller.pieces(tokens[block.shown].tolist(), at[block.shown].tolist()), tokens[: block.shown.stop], int(calls))
            for tokens, at, calls in rows
        ]
