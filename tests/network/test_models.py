"""The network's mask embeddings, head, attention, EMA and checkpoints; tests/publish holds it against the public ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.states import initial_masks
from imdm.errors import UserError
from imdm.network.checkpoint import load_network, read_checkpoint, save_network, share_weights
from imdm.network.config import NetworkConfig
from imdm.network.ema import Ema
from imdm.network.network import Network
from networks import SMALL, small_network


@torch.no_grad()
@pytest.mark.parametrize("mask", ["infinite", "finite", "gumbel"])
def test_a_mask_kind_starts_as_the_mdlm_bit_for_bit(mask, tmp_path):
    mdlm = small_network(mask="single")
    save_network(tmp_path / "mdlm.safetensors", mdlm)
    torch.manual_seed(1)
    variant = Network(NetworkConfig(**(SMALL | {"mask": mask}))).eval()
    share_weights(variant, load_network(tmp_path / "mdlm.safetensors"))
    z = initial_masks(row_seeds(0, 0, 3), 5, 7)
    z[:, 2] = 4
    assert torch.equal(variant.hidden(z), mdlm.hidden(z))


@torch.no_grad()
def test_noise_reaches_masked_positions_only():
    network = small_network()
    z = initial_masks(row_seeds(0, 0, 1), 5, 7)
    z[0, 1] = 2
    assert torch.equal(network.vocab_embed(z)[0, 1], network.vocab_embed.embedding[2])
    other = z.clone()
    other[0, 3] += 1
    changed = (network.vocab_embed(other) != network.vocab_embed(z)).any(-1)[0]
    assert changed.tolist() == [False, False, False, True, False]
    single = small_network(mask="single")
    assert torch.equal(single.vocab_embed(other), single.vocab_embed(z))
    assert torch.equal(single.vocab_embed(z)[0, 0], single.vocab_embed.embedding[SMALL["mask_id"]])


@torch.no_grad()
def test_softcap_of_a_large_value_is_plain_attention_and_causal_masks_the_future():
    plain, capped = small_network(), small_network(softcap=1e6)
    capped.load_state_dict(plain.state_dict())
    z = torch.randint(0, 7, (2, 5))
    later = z.clone()
    later[:, 3:] = 0
    for causal in (False, True):
        assert torch.allclose(plain.hidden(z, causal=causal), capped.hidden(z, causal=causal), atol=1e-4)
    assert torch.allclose(plain.hidden(z, causal=True)[:, :3], plain.hidden(later, causal=True)[:, :3], atol=1e-5)
    assert not torch.allclose(small_network(softcap=0.1).hidden(z), plain.hidden(z), atol=1e-3)


def test_ema_follows_the_formula():
    network = small_network()
    ema, start = Ema(network, 0.5), [p.detach().clone() for p in network.parameters()]
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1)
    ema.update(network)  # decay 2/11
    ema.update(network)  # decay 3/12
    expected = 1 - (2 / 11) * (3 / 12)
    assert all(torch.allclose(s, p + expected, atol=1e-5) for s, p in zip(ema.shadow, start))
    fresh = Ema(network, 0.5)
    fresh.load_state_dict(ema.state_dict())
    assert fresh.updates == 2 and all(torch.equal(a, b) for a, b in zip(fresh.shadow, ema.shadow))


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["single", "infinite", "finite"]), st.booleans(), st.integers(0, 9))
def test_checkpoint_round_trip(tmp_path_factory, mask, positions, seed):
    path = tmp_path_factory.mktemp("c") / "model.safetensors"
    network = small_network(seed, mask=mask, learned_positions=positions, finite_masks=9)
    ema = Ema(network, 0.9)
    ema.shadow[0] += 1
    save_network(path, network, ema)
    online, averaged = load_network(path, "online"), load_network(path, "ema")
    assert read_checkpoint(path)[0] == network.config
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in online.state_dict().items())
    assert all(torch.equal(p, s) for p, s in zip(averaged.parameters(), ema.shadow))
    first = path.read_bytes()
    save_network(path, network, ema)
    assert path.read_bytes() == first


def test_bad_checkpoints_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_network(path, small_network())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="model.safetensors is truncated"):
        load_network(path)
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="not a checkpoint of this project"):
        load_network(tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="checkpoint of the same sizes"):
        share_weights(small_network(), small_network(hidden_size=32))
