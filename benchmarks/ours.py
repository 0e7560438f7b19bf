"""The product's own functions as sides: the only place of the benchmarks that knows how they are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks import inputs
from benchmarks.inputs import SEED
from benchmarks.scales import Corpus, Scale
from benchmarks.side import Side, timed
from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import Noised
from imdm.distill.couplings import make_couplings
from imdm.network.network import Network
from imdm.params import Couplings, Keyed, Pretrain, Redi, Runtime, Sdtt
from imdm.sampling.sampler import sample
from imdm.stage.device import prepare_frozen

SDTT_ROUND = 7  # of the paper's 7
_TRIED = 32  # steps, or groups of couplings, of which the most typical is taken


def times() -> int:
    """Steps of a training in a run: while a GPU is at work on one, the draws of the next are made."""
    return 8 if inputs.device().type == "cuda" else 1


def generator(scale: Scale, corpus: Corpus, mask: str, cuda_graphs: bool = False) -> Network:
    """A network as the stages prepare it for sampling: on a GPU its blocks are compiled."""
    return prepare_frozen(inputs.network(scale, corpus, mask), Runtime(), cuda_graphs=cuda_graphs)


def sampling(scale: Scale, mask: str, cuda_graphs: bool = False) -> Side:
    """Unconditional samples in `scale.steps` steps."""
    corpus = scale.openwebtext
    network = generator(scale, corpus, mask, cuda_graphs)
    seeds = row_seeds(SEED, 0, corpus.rows, inputs.device())
    tokens = corpus.rows * corpus.seq_len
    return Side(timed(lambda: sample(network, seeds, scale.steps)), tokens, network, heads=tokens)


def perturbed(scale: Scale, network: Network) -> tuple[int, dict[str, torch.Tensor]]:
    """(first row, couplings) with about half of their positions masked, the masks and times of `coupling`'s rows.

    Masks and times don't depend on the number of steps, so one is made.
    """
    corpus = scale.lm1b
    settings, blocks = Couplings(pairs=corpus.rows, steps=1), inputs.blocks(corpus, 64)
    made = {first: make_couplings(network, blocks, first, corpus.rows, settings, SEED) for first in range(0, 8 * corpus.rows, corpus.rows)}
    return min(made.items(), key=lambda item: abs(item[1]["masked"].double().mean() - 0.5))


def coupling(scale: Scale, cuda_graphs: bool = True) -> Side:
    """Perturbed couplings of a teacher with a single mask."""
    corpus = scale.lm1b
    network = generator(scale, corpus, "single", cuda_graphs)
    first, made = perturbed(scale, network)
    settings, blocks = Couplings(pairs=corpus.rows, steps=scale.coupling_steps), inputs.blocks(corpus, 64)
    work = timed(lambda: make_couplings(network, blocks, first, corpus.rows, settings, SEED))
    return Side(work, corpus.rows * corpus.seq_len, network, heads=int(made["masked"].sum()))


@dataclass
class Task:
    """A training with the step that is timed, the one of the first few whose share of masks is nearest to half.

    Attributes:
        batch: what the network sees in that step.
    """

    training: object
    step: int
    batch: Noised
    network: Network
    teacher: Network | None = None

    @property
    def tokens(self) -> int:
        return self.batch.x.numel()

    def side(self) -> Side:
        """A whole optimizer step: draws, loss, gradient, clipping, AdamW, moving average."""
        training, network = self.training, self.network
        optimizer = torch.optim.AdamW(network.parameters(), training.settings.lr, (0.9, 0.999), 1e-8, 0.0, fused=True)

        def step() -> None:
            optimizer.zero_grad()
            training.loss(self.step).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), training.settings.clip)
            optimizer.step()
            training.ema.update(network)

        return Side(timed(step, times()), self.tokens, network, self.teacher, times=times())


def _task(training: object, teacher: Network | None = None) -> Task:
    training.place(Runtime(), inputs.device())
    batches = [training.batch(step) for step in range(_TRIED)]
    step = min(range(_TRIED), key=lambda step: abs(len(batches[step].masked) / batches[step].x.numel() - 0.5))
    batch = batches[step].map(lambda tensor: tensor.to(inputs.device()))
    return Task(training, step, batch, training.network, teacher)


def pretraining(scale: Scale, mask: str, corpus: str = "openwebtext") -> Task:
    from imdm.training.pretrain import Pretraining

    corpus = getattr(scale, corpus)
    settings = Pretrain(steps=1, batch_size=corpus.batch, warmup=0)
    return _task(Pretraining(inputs.network(scale, corpus, mask), settings, SEED, inputs.blocks(corpus, 64)))


def sdtt(scale: Scale) -> Task:
    from imdm.distill.sdtt import SdttTraining

    corpus = scale.lm1b
    student, teacher = (inputs.network(scale, corpus, "infinite", number) for number in (0, 1))
    settings = Sdtt(steps=1, batch_size=corpus.batch, warmup=0, rounds=1)
    return _task(SdttTraining(student, teacher, settings, SDTT_ROUND, SEED, inputs.blocks(corpus, 64)), teacher)


def keyed(scale: Scale) -> Task:
    """On the data of `sdtt`, with Gumbel masks; half of the sequences are all masked."""
    from imdm.distill.keyed import KeyedTraining, keyed_student

    corpus = scale.lm1b
    start, teacher = (inputs.network(scale, corpus, "gumbel", number) for number in (0, 1))
    settings = Keyed(steps=1, batch_size=corpus.batch, warmup=0)
    return _task(KeyedTraining(keyed_student(start, settings.draws), teacher, settings, SEED, inputs.blocks(corpus, 64)), teacher)


def redi(scale: Scale) -> Task:
    from imdm.distill.redi import RediTraining

    corpus = scale.lm1b
    settings = Redi(steps=1, batch_size=corpus.batch, warmup=0)
    return _task(RediTraining(inputs.network(scale, corpus, "infinite"), settings, SEED, inputs.couplings(corpus, 64)))


def embedding(scale: Scale) -> Side:
    """Embeddings of the batch of `pretraining` with infinite masks, forward and backward through the noise MLP."""
    task = pretraining(scale, "infinite")
    return Side(embedding_pass(task.network, task.batch.z), task.tokens)


def embedding_pass(network: Network, states: torch.Tensor, prepare: Callable[[], None] = lambda: None) -> Callable[[], float]:
    """Forward and backward of a network's embedding, the table of tokens frozen, as its gradient is no part of the noise."""
    network.vocab_embed.embedding.requires_grad_(False)

    def work() -> None:
        prepare()
        out = network.vocab_embed(states)
        out.backward(torch.ones_like(out))

    return timed(work)


def candidates(scale: Scale) -> Side:
    """All that masked positions read of their Gumbel noise in all blocks, forward and backward, on the batch of `pretraining`."""
    task = pretraining(scale, "gumbel")
    network, batch = task.network, task.batch
    read, x = network.candidates, network.vocab_embed(batch.z).detach()
    embedding = network.vocab_embed.embedding.detach()

    def work() -> None:
        shown, out = read.shown(batch.z, batch.masked, embedding), x
        for number in range(network.config.blocks):
            out = read(number, out, shown)
        out.backward(torch.ones_like(out))

    return Side(timed(work), task.tokens)


def corpus_line(scale: Scale, corpus: Corpus) -> str:
    """The sizes of a case in words."""
    return f"{scale.network['blocks']} x {scale.network['hidden_size']}, L = {corpus.seq_len:,}, V = {corpus.vocab_size:,}"
