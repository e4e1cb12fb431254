"""Language models of a hundred thousand parameters, made on the spot, and answers for them."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agents.alignment.language import written

DIGITS = [str(digit) for digit in range(10)]
WORDS = ["<pad>", "<s>", "</s>", *DIGITS, "high", "low", "ask", "<unk>"]


def tokenizer():
    """One token a word, end of text behind an answer."""
    vocabulary = {word: at for at, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=WORDS[-1]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>"}
    named = {f"{name}_token": word for name, word in special.items()}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **named)


SIZES = {
    "vocab_size": len(WORDS),
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ROTARY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def llama(seed=0, **changes):
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**{**SIZES, **ROTARY, **changes})).eval()


def qwen(seed=0):
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, **ROTARY, head_dim=8)).eval()


def gpt2(seed=0):
    torch.manual_seed(seed)
    config = GPT2Config(**SIZES, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    return GPT2LMHeadModel(config).eval()


def answers(seed=0, *, prompts=5, count=2, longest=6, own=False):
    """A batch of random prompts of 1 to 9 tokens, with answers of 1 to `longest`."""
    draw = torch.Generator().manual_seed(seed)

    def sentence(most):
        length = int(torch.randint(1, most + 1, (), generator=draw))
        return torch.randint(3, len(WORDS) - 1, (length,), generator=draw).tolist()

    asked = [[sentence(9) for _ in range(count)] if own else sentence(9) for _ in range(prompts)]
    return written(asked, [[sentence(longest) for _ in range(count)] for _ in range(prompts)])
