"""The experiment's parameters: one definition, from which schema, checks and documents follow.

`params.yaml` and every file in `presets/` validate against `Params`. Unknown keys are refused with
the nearest known one. Steps, sizes and counts are positive integers; times are in [0, 1].
"""

from imdm.params.base import Block, LanguageSettings, MaskSettings, Name, NonNegative, Positive, Runtime, Seeds, Shards, VariantOverride
from imdm.params.experiment import Compare, Paper, Params
from imdm.params.inputs import Corpus, ExternalSamples, Network, PublicCheckpoint, Teacher
from imdm.params.load import load_params, resolved_yaml
from imdm.params.names import (
    EXTERNAL,
    PUBLIC,
    RECIPES,
    REPLICATE,
    RESERVED,
    TEACHER,
    Recipe,
    couplings_of,
    parent,
    parse_recipe,
    parse_variant,
    trained,
)
from imdm.params.scoring import Audit, Conditional, Factorization, Frontier, Matching, Sampling, Scoring
from imdm.params.synthetic import Rectify, Synthetic
from imdm.params.training import Couplings, Di4c, Finetune, Judge, Keyed, Optimizer, Pretrain, Redi, Sdtt
