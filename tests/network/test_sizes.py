"""Parameters, operations and bytes of a network against real networks and PyTorch's counter."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import Noised, forward_process
from imdm.diffusion.states import initial_masks
from imdm.distill.keyed import keyed_loss
from imdm.distill.sdtt import sdtt_loss
from imdm.network import block as block_module
from imdm.network import head_loss
from imdm.network.config import NetworkConfig
from imdm.network.head_loss import nelbo
from imdm.network.network import Network
from imdm.network.sizes import CHUNK, DRAW_CHUNK, Pass, Sizes, step_flops
from imdm.params import Keyed, Sdtt
from imdm.sampling import categorical
from imdm.stage.gpus import find_gpu
from networks import small_network

# Large enough that no small term hides a large one.
SIZES = dict(vocab_size=50, mask_id=3, seq_len=24, hidden_size=32, blocks=2, heads=4, cond_dim=16, noise_dim=40)
OWT = dict(vocab_size=50_258, mask_id=50_257, seq_len=1024, hidden_size=768, blocks=12, heads=12, cond_dim=128)
LARGE = OWT | dict(hidden_size=1536, blocks=24, heads=16)


def counted(work) -> int:
    """Operations of `work()` by PyTorch's counter, which knows the attention of the mathematical backend."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("mask", ["single", "infinite", "finite", "gumbel"])
@pytest.mark.parametrize("learned_positions", [False, True])
def test_parameters_of_the_network(mask, learned_positions):
    network = small_network(**SIZES, mask=mask, finite_masks=17, learned_positions=learned_positions)
    assert Sizes(network.config).parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    "sizes, parameters, noise_dim, mask_parameters",
    [
        (OWT, 169_627_218, 2048, 8_653_824),
        (OWT | dict(vocab_size=30_522, mask_id=103, seq_len=128), 139_292_986, 768, 4_721_664),
        (LARGE, 863_158_098, 2048, 22_026_240),
    ],
)
def test_published_parameter_counts(sizes, parameters, noise_dim, mask_parameters):
    for mask, added in (("single", 0), ("infinite", mask_parameters)):
        config = NetworkConfig(**sizes, mask=mask, noise_dim=noise_dim)
        with torch.device("meta"):
            network = Network(config)
        assert Sizes(config).mask_parameters == added
        assert Sizes(config).parameters == sum(parameter.numel() for parameter in network.parameters()) == parameters + added


@pytest.mark.parametrize("changes", [{}, {"mask": "single"}, {"mask": "finite"}, {"mask": "gumbel"}, {"softcap": 50.0}])
def test_operations_of_a_forward_pass(changes):
    network = small_network(**SIZES | changes)
    batch = forward_process(torch.randint(50, (6, 24)), 1, 0, 0, 6, 50)
    heads = batch.masked[:11]
    work = Pass(rows=6, heads=len(heads), masked=len(batch.masked), calls=1)
    assert Sizes(network.config).forward(work) == counted(lambda: network(batch.z, heads))


def test_operations_of_a_training_step():
    """Three forward passes, but for inputs that need no gradient: noise and the time's sinusoid."""
    network = small_network(**SIZES)
    batch = forward_process(torch.randint(50, (64, 24)), 1, 0, 0, 64, 50)
    step = Pass(64, len(batch.masked), len(batch.masked), 1)
    found = counted(lambda: nelbo(network, batch).backward())
    assert found == pytest.approx(3 * Sizes(network.config).forward(step), rel=0.05)
    assert len(batch.masked) == pytest.approx(64 * 24 / 2, rel=0.05)


def test_operations_of_an_sdtt_step():
    teacher, student = small_network(**SIZES), small_network(1, **SIZES)
    size = 64

    def step() -> None:
        batch = forward_process(torch.randint(50, (size, 24)), 1, 0, 0, size, 50)
        sdtt_loss(student, teacher, batch, row_seeds(1, 0, size), 1 / 64, "corrected", "reverse_kl").backward()

    settings = Sdtt(steps=1, batch_size=size, rounds=1)
    assert step_flops(Sizes(student.config), settings, 0, size) == pytest.approx(counted(step), rel=0.05)


@pytest.mark.parametrize("mask", ["gumbel", "infinite"])
def test_operations_of_a_keyed_step(mask):
    """All masked, four teacher steps."""
    torch.manual_seed(0)
    config = NetworkConfig(**SIZES | {"noise_dist": "rademacher", "mask": mask})
    teacher, student = Network(config).eval(), Network(config)
    seeds, size = row_seeds(1, 0, 32), 32

    def step() -> None:
        z = initial_masks(seeds, 24, 50)
        batch = Noised(z, z, torch.arange(z.numel()), torch.ones(size, dtype=torch.float64))
        keyed_loss(student, teacher, batch, 4, "reverse_kl").backward()

    settings = Keyed(steps=1, batch_size=size, teacher_steps=4, from_start=1)
    # Too high by the mask embeddings of what the teacher has unmasked, too low by the logits of its draws.
    assert step_flops(Sizes(config), settings, 0, size) == pytest.approx(counted(step), rel=0.15)


def test_operations_agree_with_a_published_throughput():
    """flow_matching reports a 12x768 DiT with all logits at 288,000 tokens/s: 26% of an H100."""
    shape = Sizes(NetworkConfig(**OWT, mask="single"))
    token = 3 * shape.forward(Pass(1, 1024, 0, 1)) / 1024
    assert token * 288_000 / (find_gpu("h100").bfloat16 * 1e12) == pytest.approx(0.26, abs=0.02)


@pytest.mark.parametrize("softcap", [None, 50.0])
def test_bytes_that_a_training_pass_keeps(softcap, monkeypatch):
    """What autograd saves on a GPU, in bfloat16: the difference of two depths, widths and batches isolates the body's share."""
    monkeypatch.setattr(block_module, "attention", lambda q, k, v, causal: scaled_dot_product_attention(q, k, v, is_causal=causal))

    def saved(blocks: int) -> tuple[int, float]:
        network = small_network(**SIZES | dict(hidden_size=64, blocks=blocks, dropout=0.1, softcap=softcap, seq_len=64)).train()
        network.body_dtype = torch.bfloat16
        parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in parameters:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        batch = forward_process(torch.randint(50, (16, 64)), 1, 0, 0, 16, 50)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            nelbo(network, batch)
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), 16 * Sizes(network.config).saved_bytes(0)

    (shallow, estimated_shallow), (deep, estimated_deep) = saved(1), saved(5)
    assert deep - shallow == pytest.approx(estimated_deep - estimated_shallow, rel=0.1)


def test_chunks_are_the_librarys():
    assert (head_loss.CHUNK["cuda"], categorical.CHUNK["cuda"]) == (CHUNK, DRAW_CHUNK)
