"""A language model too small to know anything, for servers that want a real folder.

It has its own tokenizer, chat template and untrained weights drawn from one seed: what it says is
noise, so whatever is well formed in it is the server's doing.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
_MARKS = ["<|start|>", "<|end|>"]


def make_tiny_model(folder: Path, *, seed: int) -> Path:
    """Write a Qwen3 of 0.2 million weights that reads 16,384 bytes; returns `folder`."""
    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    letters.train_from_iterator(
        [],
        trainers.BpeTrainer(
            special_tokens=_MARKS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, model_max_length=16384)
    tokenizer.eos_token = tokenizer.pad_token = _MARKS[1]
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=96,
                intermediate_size=192,
                num_hidden_layers=2,
                num_attention_heads=3,
                num_key_value_heads=3,
                head_dim=32,
                max_position_embeddings=16384,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                tie_word_embeddings=True,
            )
        )
    network.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    make_tiny_model(Path(sys.argv[1]), seed=0)
