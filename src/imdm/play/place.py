"""Where models lie that can write: a run, models that were kept of one, or an exported folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.network.checkpoint import model_name
from imdm.params import TEACHER, Scoring, load_params
from imdm.scoring.exact import ExactJudge
from imdm.scoring.gen_ppl import gen_ppl
from imdm.scoring.judge import Judge, load_judge
from imdm.scoring.metrics import judge_samples
from imdm.stage.artifact import artifact_files

WEIGHTS = "model.safetensors"


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


@dataclass(frozen=True)
class PlaceJudge:
    """The judge of a run, and how it reads a text there."""

    judge: Judge | ExactJudge
    settings: Scoring

    @classmethod
    def of(cls, place: Path) -> PlaceJudge | None:
        """That of PLACE/judge/judge.json; None where there is none. Raises UserError: as `load_judge`."""
        file, params = place / "judge/judge.json", place / "params.yaml"
        if not file.is_file():
            return None
        judge = load_judge(file)
        own = isinstance(judge, ExactJudge) or judge.trained  # reads the samples' ids
        return cls(judge, load_params(params).scoring if params.is_file() else Scoring(retokenize=not own))

    def gen_ppl(self, tokens: np.ndarray, data: Dataset) -> float | None:
        """Perplexity of a text, its block's first token in front, int64 [n]; None where the judge counts no token of it.

        Raises:
            UserError: the judge is of another vocabulary.
        """
        self.judge.check_vocabulary(data, self.settings.retokenize)
        with torch.inference_mode():
            judged = judge_samples(self.judge, tokens[None], data.tokenizer(), self.settings)
        return gen_ppl(judged.nll, judged.tokens) if judged.tokens[0] else None
