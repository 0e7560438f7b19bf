"""The trained judge: its network, and next-token prediction on its own split."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.gpt2 import GPT2Config, GPT2LMHeadModel

from imdm import params
from imdm.network.sizes import JudgeSizes, judge_step
from imdm.params import Runtime
from imdm.stage.device import send, setup
from imdm.training.pretrain import BlockTraining


def build_judge(settings: params.Judge, vocab_size: int, seq_len: int, end_id: int) -> GPT2LMHeadModel:
    """An untrained GPT-2 without dropout, for sequences of up to twice seq_len tokens.

    Text that is decoded and encoded again may take more tokens than it had.
    """
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=2 * seq_len,
        n_embd=settings.hidden_size,
        n_layer=settings.blocks,
        n_head=settings.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end_id,
        eos_token_id=end_id,
    )
    return GPT2LMHeadModel(config)


class JudgeTraining(BlockTraining[GPT2LMHeadModel]):
    """A causal LM of transformers on packed blocks."""

    name = "judge"

    @property
    def length(self) -> int:
        return self.blocks.shape[1]

    def place(self, runtime: Runtime, device: torch.device) -> None:
        self.device, self.body_dtype = device, setup(runtime)[1]
        self.network.to(device).train()  # type: ignore[arg-type]  # transformers' decorator hides what `to` takes
        self.ema.to(device)

    def flops(self, step: int) -> float:
        about = self.network.config
        judge = JudgeSizes(about.n_embd, about.n_layer, about.vocab_size, about.n_positions)
        return judge_step(judge, self.settings.batch_size, self.length)

    def loss(self, step: int) -> Tensor:
        x = send(self.rows(step)[0], self.device)
        with torch.autocast(self.device.type, self.body_dtype, enabled=self.body_dtype is not None):
            logits = self.network(x).logits[:, :-1].flatten(0, 1)
        return F.cross_entropy(logits.float(), x[:, 1:].flatten())
