"""The algorithm of MDLM, SDTT, Duo, ReDi and the IMDM authors' code, written from its description, on our own weights.

What they have in common, and where it differs from ours:

- the head projects every position to the vocabulary, and log-probabilities of [B, L, V] are made in each call (SUBS);
- each step draws Gumbel noise for all of them, visible positions included, in float32 (MDLM, SDTT) or float64 (Duo, IMDM);
- noise of mask states is stored, drawn by torch.rand for all positions, and the MLP runs on all positions;
- MDLM's `ddpm_cache` reuses the last prediction where no row of the batch has changed since.

The body's blocks are ours, so that differences come from the algorithm alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.diffusion.schedule import alpha
from imdm.network.mask_embedding import StateEmbedding
from imdm.network.network import NEVER, Network


class EverywhereEmbedding(nn.Module):
    """Token embeddings, plus the MLP of stored noise, which is computed everywhere and used at masks.

    Attributes:
        noise: [B, L, d_noise], set before each call; None for a network with a single mask.
    """

    def __init__(self, ours: StateEmbedding):
        super().__init__()
        self.config, self.embedding, self.noise = ours.config, ours.embedding, None
        if ours.config.mask == "infinite":
            self.imdm_mlp = ours.imdm_mlp

    def forward(self, tokens: Tensor, _: Tensor | None = None) -> Tensor:
        x = F.embedding(tokens, self.embedding)
        if self.noise is None:
            return x
        return x + (tokens == self.config.mask_id)[..., None] * self.imdm_mlp(self.noise.to(x.dtype))


class Peers:
    """A network as the predecessors run it: tokens with the mask's id, noise beside them.

    Args:
        network: its embedding is replaced.
    """

    def __init__(self, network: Network):
        self.network, self.config = network, network.config
        network.vocab_embed = EverywhereEmbedding(network.vocab_embed)

    def log_probabilities(self, tokens: Tensor, noise: Tensor | None) -> Tensor:
        """SUBS on every position: int64 [B, L] and noise [B, L, d_noise] to [B, L, V]; visible tokens are copied."""
        self.network.vocab_embed.noise = noise
        logits = self.network.logits(self.network.hidden(tokens))
        logits[..., self.config.mask_id] += NEVER
        log_p = logits - logits.logsumexp(dim=-1, keepdim=True)
        visible = tokens != self.config.mask_id
        log_p[visible] = NEVER
        log_p[visible, tokens[visible]] = 0
        return log_p

    def draw_noise(self, tokens: Tensor) -> Tensor | None:
        """Uniform noise on (-1, 1) for every position; None where the network has a single mask."""
        if self.config.mask != "infinite":
            return None
        return self.config.noise_scale * (2 * torch.rand(*tokens.shape, self.config.noise_dim, device=tokens.device) - 1)


def gumbel_max(weights: Tensor) -> Tensor:
    """A categorical draw for each position from weights [..., V], in their dtype."""
    return (weights / (1e-10 - (torch.rand_like(weights) + 1e-10).log())).argmax(dim=-1)


class Trajectory:
    """Ancestral sampling over N equal steps; the last unmasks what is left.

    Args:
        tokens: int64 [B, L] with the mask's id where a token is wanted.
        start: time of each row, [B].
        dtype: of the draw.
    """

    def __init__(self, peers: Peers, tokens: Tensor, start: Tensor, steps: int, dtype: torch.dtype = torch.float64):
        self.peers, self.tokens, self.start, self.steps, self.dtype = peers, tokens, start, steps, dtype
        self.grid = torch.linspace(1, 1e-5, steps + 1, device=tokens.device, dtype=torch.float64)
        self.grid[-1] = 0
        self.noise = peers.draw_noise(tokens)

    @torch.no_grad()
    def step(self, number: int, reuse: bool = False) -> bool:
        """One step, numbered from 0.

        Args:
            reuse: take the last step's prediction instead of calling the network.

        Returns:
            whether any row has changed.
        """
        if not reuse:
            self.p = self.peers.log_probabilities(self.tokens, self.noise).exp()
        mask_id = self.peers.config.mask_id
        t, s = ((self.start * self.grid[i])[:, None, None].float() for i in (number, number + 1))
        unmask, keep = (alpha(s) - alpha(t)) / (1 - alpha(t)), alpha(t) / alpha(s)
        weights = self.p * unmask
        if self.noise is None:
            weights[..., mask_id] = (1 - unmask)[..., 0]
        else:  # one outcome more: a mask with fresh noise
            weights[..., mask_id] = ((1 - unmask) * keep)[..., 0]
            weights = torch.cat([weights, ((1 - unmask) * (1 - keep)).expand_as(weights[..., :1])], dim=-1)
        drawn = gumbel_max(weights.to(self.dtype))
        masked, reset = self.tokens == mask_id, drawn == self.peers.config.vocab_size
        following = torch.where(masked & ~reset, drawn, self.tokens)
        if self.noise is not None:
            self.noise = torch.where((masked & reset)[..., None], self.peers.draw_noise(self.tokens), self.noise)
        changed = not torch.equal(following, self.tokens)
        self.tokens = following
        return changed

    def run(self, cached: bool = False) -> Tensor:
        """All steps; `cached` is MDLM's ddpm_cache, for a single mask."""
        changed = True
        for number in range(self.steps):
            changed = self.step(number, reuse=cached and not changed)
        return self.tokens


def nelbo(peers: Peers, x: Tensor, tokens: Tensor, t: Tensor, noise: Tensor | None) -> Tensor:
    """Loss of pretraining and of ReDi: -log p(x) / t, summed over all positions, nats a token; visible ones give 0.

    Args:
        x: what the masks of `tokens` stand for, int64 [B, L].
        t: times [B].
    """
    log_p = peers.log_probabilities(tokens, noise).gather(-1, x[..., None]).squeeze(-1)
    return -(log_p / t[:, None].to(log_p.dtype)).sum() / x.numel()


def first_step(peers: Peers, log_p: Tensor, tokens: Tensor, t: Tensor, dt: float) -> Tensor:
    """Tokens after a teacher's step from t to t - dt."""
    unmask = (dt / t).clamp(max=1)[:, None, None].to(log_p.dtype)
    weights = log_p.exp() * unmask
    weights[..., peers.config.mask_id] = (1 - unmask)[..., 0]
    return torch.where(tokens == peers.config.mask_id, gumbel_max(weights.double()), tokens)


def sdtt_loss(
    student: Peers, teacher: Peers, tokens: Tensor, t: Tensor, dt: float, noise: Tensor | None, after: Tensor | None = None
) -> Tensor:
    """Mean over masked positions of KL(student || target), with a target of [B, L, V] from two teacher steps.

    Args:
        noise: of student and teacher, kept over both steps.
        after: tokens after the first of them; None: drawn.
    """
    with torch.no_grad():
        first = teacher.log_probabilities(tokens, noise)
        after = first_step(teacher, first, tokens, t, dt) if after is None else after
        second = teacher.log_probabilities(after, noise)
        target = torch.where((after != tokens)[..., None], first, second)
    log_p = student.log_probabilities(tokens, noise)
    masked = tokens == student.config.mask_id
    p, q = log_p[masked], target[masked]
    return (p.exp() * (p - q)).sum(-1).mean()


class PlainOptimizer:
    """AdamW as torch offers it by default, the gradient's norm clipped at 1, a moving average parameter by parameter."""

    def __init__(self, network: Network, lr: float, decay: float):
        self.parameters, self.decay = list(network.parameters()), decay
        self.adamw = torch.optim.AdamW(self.parameters, lr, (0.9, 0.999), 1e-8, 0.0)
        self.shadow = [parameter.detach().clone() for parameter in self.parameters]

    def step(self, loss: Tensor) -> None:
        self.adamw.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adamw.step()
        with torch.no_grad():
            for average, parameter in zip(self.shadow, self.parameters):
                average.sub_((1 - self.decay) * (average - parameter))
