"""How the models of the tests are made."""

from pathlib import Path

from agents.language.pocket.tokenizer import train_tokenizer
from agents.language.pocket.training import Shape, new_model
from institutional.pocket.train import QUICK, train_pocket

ROOT = Path(__file__).parents[2]
TINY = Shape(vocabulary=512, hidden=32, feed_forward=64, layers=2, heads=2, positions=2048)


def new_pocket(folder):
    """A pocket model that was taught for some seconds."""
    return train_pocket(
        folder,
        graphs=ROOT / "governance_graphs",
        constitutions=ROOT / "runs/constitutions",
        effort=QUICK,
        seed=0,
    )


def new_random(folder):
    """A model with the weights it was born with; it was taught nothing."""
    tokenizer = train_tokenizer([(ROOT / "README.md").read_text()], vocabulary=512)
    new_model(TINY, tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
