"""Masked diffusion language models with one, finitely many or infinitely many mask states, for torch and transformers alone.

Network and sampler of an exported checkpoint of MDLM, SDTT, Di4C or IMDM ("Infinite Mask Diffusion for Few-Step Distillation",
arXiv 2605.10518); for inference, so without dropout. It lies beside the weights and config.json:

    model = AutoModel.from_pretrained(FOLDER, trust_remote_code=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER)
    print(tokenizer.batch_decode(model.generate(steps=8, count=4, seed=0)))

A state is an integer: a token below V (`vocab_size`), else a mask state with the key `state - V`, from which its noise follows.
"""

import functools
import math
from statistics import NormalDist
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

NEVER = -1e6  # logit of the mask token, which is never drawn
KEY, UNMASK, TOKEN, REDRAW, FRESH, ROW, NOISE, LATENT, CARRIED, RACE, REST = 1, 2, 3, 4, 5, 8, 11, 12, 13, 14, 15  # what a draw is for


def mix(x):
    """SplitMix64's finalizer: a bijection of int64, in wrapping arithmetic."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64), (31, 1)):
        x = (x ^ (x >> shift & (1 << 64 - shift) - 1)) * factor
    return x


def bits(seed, *coordinates):
    """64 random bits, a pure function of seed and coordinates (broadcasting), equal on every device."""
    for coordinate in coordinates:
        seed = mix(seed + (torch.as_tensor(coordinate, device=seed.device) + 1) * (0x9E3779B97F4A7C15 - 2**64))
    return seed


def uniform(random_bits):
    """float64 inside (0, 1)."""
    return ((random_bits >> 12 & (1 << 52) - 1).double() + 0.5) * 2.0**-52


@functools.lru_cache(maxsize=1)
def gaussian_values():
    return torch.tensor([NormalDist().inv_cdf((code + 0.5) / 2**16) for code in range(2**16)], dtype=torch.float64).float()


def noise(keys, dim, dist, scale):
    """Noise of each key, float32 [..., dim]: uniform on (-1, 1) or Gaussian, 16 bits a coordinate, or Rademacher, one bit."""
    if dist == "rademacher":
        words = bits(keys[..., None], NOISE, torch.arange(-(-dim // 64), device=keys.device))
        order = torch.tensor([quarter + bit for quarter in range(0, 64, 16) for bit in reversed(range(16))], device=keys.device)
        return ((words[..., None] >> order) & 1).flatten(-2)[..., :dim].mul(2).sub(1).float() * scale
    words = bits(keys[..., None], NOISE, torch.arange(-(-dim // 4), device=keys.device))
    codes = words.view(torch.int16)[..., :dim].int() & 0xFFFF
    values = gaussian_values().to(keys.device)[codes] if dist == "gaussian" else (2 * codes + 1).float() * 2.0**-16 - 1
    return values * scale


def carried_uniform(keys):
    """Which token each key's position gets, float64: 16 bits of the noise, and lower ones."""
    return ((bits(keys, NOISE, 0) >> 16 & 0xFFFF).double() + uniform(bits(keys, CARRIED, 1))) * 2.0**-16


def draw(logits, u, temperature):
    """A token of each row of [n, V] by its uniform u [n]: inverse CDF, whose shares are integers in units of 2^-62."""
    shares = (logits.double().div(temperature).softmax(-1) * 2.0**62).long()
    cumulative = shares.cumsum(-1)
    total = cumulative[:, -1:]
    return torch.searchsorted(cumulative, torch.minimum((u[:, None] * total).long(), total - 1), right=True).squeeze(1)


def candidates(keys, count, proposal):
    """The first points of the race that each key [n] decides: times and tokens [n, count]."""
    u = uniform(bits(keys[:, None], RACE, torch.arange(2 * count, device=keys.device)))
    cumulative = proposal.cumsum(0)
    tokens = torch.searchsorted(cumulative, u[:, count:] * cumulative[-1], right=True).clamp(max=len(proposal) - 1)
    return u[:, :count].log().neg().cumsum(1), tokens


def draw_by_race(count, proposal, logits, keys, temperature):
    """A token of each row of [n, V] by its key's Gumbels: argmax of log p + G, where exp(-G) are the race's exponentials."""
    times, tokens = candidates(keys, count, proposal)
    rest = -uniform(bits(keys[:, None], REST, torch.arange(len(proposal), device=keys.device))).log() + proposal * times[:, -1:]
    e = rest.scatter_reduce(1, tokens, proposal[tokens] * times, "amin", include_self=False)
    return (logits.double() / temperature - e.log()).argmax(-1)


def modulation(layer, condition, parts):
    return layer(condition)[:, None].chunk(parts, dim=-1)


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class StateEmbedding(nn.Module):
    """A mask state is the mask token's row plus what follows from its key: MLP(noise), a row of a table, or nothing."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes, width = sizes, sizes.hidden_size
        self.embedding = nn.Parameter(torch.empty(sizes.vocab_size, width))
        self.imdm_mlp: nn.Module
        if sizes.mask == "infinite":
            self.imdm_mlp = nn.Sequential(nn.Linear(sizes.noise_dim, 4 * width), nn.GELU(), nn.Linear(4 * width, width, bias=False))
        elif sizes.mask == "finite":
            self.imdm_mlp = nn.Embedding(sizes.finite_masks, width)

    def forward(self, z):
        sizes, masked = self.sizes, z >= self.sizes.vocab_size
        x = self.embedding[z.masked_fill(masked, sizes.mask_id)]
        keys = z[masked] - sizes.vocab_size
        if sizes.mask == "infinite":
            x[masked] += self.imdm_mlp(noise(keys, sizes.noise_dim, sizes.noise_dist, sizes.noise_scale).to(x.dtype))
        elif sizes.mask == "finite":
            x[masked] += self.imdm_mlp(keys % sizes.finite_masks)
        return x


class Candidates(nn.Module):
    """What a masked position reads before each block of the tokens that its Gumbel noise favours."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes, width = sizes, sizes.hidden_size
        self.register_buffer("proposal", torch.ones(sizes.vocab_size, dtype=torch.float64))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(sizes.blocks))
        self.queries = nn.ModuleList(nn.Linear(width, width) for _ in range(sizes.blocks))
        self.outputs = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(sizes.blocks))
        self.lateness = nn.Parameter(torch.ones(sizes.blocks))

    def forward(self, number, x, masked, shown):
        times, tokens = shown
        query = self.queries[number](self.norms[number](x[masked]))
        scores = (tokens @ query[:, :, None])[..., 0] / math.sqrt(query.shape[1]) - self.lateness[number] * times.log().to(x.dtype)
        read = self.outputs[number]((scores.softmax(-1)[:, None] @ tokens)[:, 0])
        return x.masked_scatter(masked[..., None], x[masked] + read)


class TimeEmbedding(nn.Module):
    """The conditioning vector [1, cond_dim]. Time is always 0, so it is a constant."""

    def __init__(self, width):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self):
        weight = self.mlp.get_parameter("0.weight")
        return F.silu(self.mlp(torch.cat([weight.new_ones(1, 128), weight.new_zeros(1, 128)], dim=-1)))


class Block(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        width = sizes.hidden_size
        self.heads, self.softcap = sizes.heads, sizes.softcap
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.adaLN_modulation = nn.Linear(sizes.cond_dim, 6 * width)

    def forward(self, x, condition, cos, sin):
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation(self.adaLN_modulation, condition, 6)
        x = x + gate1 * self.attn_out(self.attend(self.norm1(x) * (1 + scale1) + shift1, cos, sin))
        return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)

    def attend(self, h, cos, sin):
        q, k, v = self.attn_qkv(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if self.softcap is None:
            return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        scores = self.softcap * torch.tanh(q @ k.mT / math.sqrt(q.shape[-1]) / self.softcap)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class FinalLayer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.norm_final = nn.LayerNorm(sizes.hidden_size, bias=False)
        self.linear = nn.Linear(sizes.hidden_size, sizes.vocab_size)
        self.adaLN_modulation = nn.Linear(sizes.cond_dim, 2 * sizes.hidden_size)

    def forward(self, h, condition):
        shift, scale = modulation(self.adaLN_modulation, condition, 2)
        return self.linear(self.norm_final(h) * (1 + scale) + shift).float()


class Backbone(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        self.vocab_embed = StateEmbedding(sizes)
        self.sigma_map = TimeEmbedding(sizes.cond_dim)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.blocks))
        self.output_layer = FinalLayer(sizes)
        if sizes.mask == "gumbel":
            self.candidates = Candidates(sizes)
        if sizes.learned_positions:
            self.positions = nn.Parameter(torch.empty(sizes.seq_len, sizes.hidden_size))
        if sizes.latent_hidden is not None:
            first, last = nn.Linear(128, sizes.latent_hidden), nn.Linear(sizes.latent_hidden, sizes.hidden_size)
            self.latent_projection = nn.Sequential(first, nn.GELU(), last)

    def forward(self, z, latent=None):
        """States [B, L], and Di4C's latents in (0, 1) [B], to [B, L, width]."""
        x, length, head = self.vocab_embed(z), z.shape[1], self.sizes.hidden_size // self.sizes.heads
        if self.sizes.learned_positions:
            x = x + self.positions[:length]
        rates = 10_000.0 ** (-torch.arange(0, head, 2, device=z.device) / head)
        angles = torch.arange(length, device=z.device)[:, None] * rates
        if latent is not None:  # one more token, which is not rotated
            rates = torch.exp(-math.log(10_000) * torch.arange(64, device=z.device) / 63)
            features = 1000 * latent[:, None] * rates
            features = torch.cat([features.sin(), features.cos()], dim=-1).to(x.dtype)
            x, angles = torch.cat([x, self.latent_projection(features)[:, None]], dim=1), F.pad(angles, (0, 0, 0, 1))
        condition, cos, sin = self.sigma_map(), angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        shown = self.sizes.mask == "gumbel"
        if shown:
            masked = z >= self.sizes.vocab_size
            times, tokens = candidates(z[masked] - self.sizes.vocab_size, self.sizes.noise_dim, self.candidates.proposal)
            embedding = self.vocab_embed.embedding
            shown = times, (embedding * math.sqrt(embedding.shape[1]))[tokens]
        for number, block in enumerate(self.blocks):
            x = block(self.candidates(number, x, masked, shown) if shown else x, condition, cos, sin)
        return x[:, :length]

    def head(self, h):
        """[B, L, width] to logits [B, L, V], the mask token's NEVER."""
        logits = self.output_layer(h, self.sigma_map())
        logits[..., self.sizes.mask_id] = NEVER
        return logits


class ImdmConfig(PretrainedConfig):
    """The sizes are those of the dictionary `imdm`; the other keys repeat them under MDLM's names."""

    model_type = "imdm"


class ImdmModel(PreTrainedModel):
    config_class = ImdmConfig
    base_model_prefix = "backbone"
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$"]  # computed here

    def __init__(self, config):
        super().__init__(config)
        self.backbone = Backbone(SimpleNamespace(**config.imdm))
        self.post_init()

    def forward(self, input_ids, latent=None):
        """States [B, L], and latents in (0, 1) [B] for Di4C, to float32 `logits` [B, L, V] of the clean tokens."""
        return MaskedLMOutput(logits=self.backbone.head(self.backbone(input_ids, latent)))

    @torch.inference_mode()
    def generate(self, input_ids=None, steps=8, seed=0, count=1, temperature=1.0, unmasking="independent"):
        """Sample sequences of the model's whole length, with at most `steps` network calls.

        Args:
            input_ids: tokens of the beginning, [n]; where they are the mask token, and behind them, text is filled in.
            seed: row i depends on (seed, i) alone.
            unmasking: "independent": each position's step by itself; "dilated": as many in each step, those of a step far apart.

        Returns:
            int64 [count, L].
        """
        if unmasking not in ("independent", "dilated"):
            raise ValueError(f'unmasking is "independent" or "dilated", not {unmasking!r}')
        sizes, device = self.backbone.sizes, self.device
        given = torch.full((sizes.seq_len,), sizes.mask_id, device=device)
        if input_ids is not None:
            ids = torch.as_tensor(input_ids, device=device).flatten()
            if len(ids) > sizes.seq_len:
                raise ValueError(f"input_ids has {len(ids)} tokens, and the model is made for {sizes.seq_len}")
            given[: len(ids)] = ids
        seeds = bits(torch.tensor(seed, device=device), ROW, torch.arange(count, device=device))[:, None]
        position = torch.arange(sizes.seq_len, device=device)

        def mask_states(stream, *coordinates):
            return sizes.vocab_size + (bits(seeds, stream, *coordinates, position) & (1 << 62) - 1)

        masked = given == sizes.mask_id
        z = torch.where(masked, mask_states(KEY), given)
        keyed, choose = "draws" in vars(sizes), draw
        random = carried_uniform(z - sizes.vocab_size) if keyed else uniform(bits(seeds, TOKEN, position))
        if keyed and sizes.mask == "gumbel":
            random, choose = z - sizes.vocab_size, functools.partial(draw_by_race, sizes.noise_dim, self.backbone.candidates.proposal)
        at = (uniform(bits(seeds, UNMASK, position)) * steps).long().clamp(max=steps - 1)
        if unmasking == "dilated" or keyed:  # positions by their bits from the lowest on
            width = max(1, (sizes.seq_len - 1).bit_length())
            low_first = sum((position >> bit & 1) << (width - 1 - bit) for bit in range(width))
            at = low_first.where(masked, 1 << width).argsort().argsort() * steps // masked.sum().clamp(min=1)
        at, before = at.expand(count, -1).where(masked, -1), torch.zeros_like(seeds)
        for step in range(steps):
            now = at == step  # what is unmasked
            rows = now.any(1)
            if not rows.any():
                continue
            # Eq. 13: what stays masked keeps its key with probability alpha_t / alpha_s, t and s the row's last step and this one
            alpha_t, alpha_s = (1 - 0.999 * (1 - n / steps) for n in (before.double(), step))
            redraw = (not keyed) & (z >= sizes.vocab_size) & (uniform(bits(seeds, REDRAW, step, position)) >= alpha_t / alpha_s)
            z = torch.where(rows[:, None] & redraw, mask_states(FRESH, step), z)
            latent = None if sizes.latent_hidden is None else uniform(bits(seeds[rows, 0], LATENT, step))
            h = self.backbone(z[rows], latent)[now[rows]]
            parts = zip(h.split(128), random[now].split(128))
            z[now] = torch.cat([choose(self.backbone.head(part[None])[0], v, temperature) for part, v in parts])
            before[rows] = step
        return z
