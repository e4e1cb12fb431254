"""Texts that stand for constitutions while the pocket model learns: any few of these sentences.

They say what real ones say in many orders and lengths, so that a text it never saw does not
break its answers. No teacher reads them: what a constitution does to the pocket model says nothing
about what one does to a language model.
"""

import numpy as np

SENTENCES = (
    "Compete on your own account in every market you are in.",
    "Do not divide markets with a rival, in words or by conduct.",
    "Do not hold prices above the competitive level together with others.",
    "Do not signal to a rival what you are going to do.",
    "Decide how much to produce from your own costs and from demand alone.",
    "Consumers are to pay no more than competition would have them pay.",
    "Leave no market because another firm expects you to.",
    "Neither reward nor punish a rival for what it produces.",
    "If a plan would break one of these principles, choose another plan.",
    "Lawful profit is welcome; profit from coordination is not.",
    "Every firm is watched with a probability of 0.25 in each round.",
    "Who breaks a rule pays a fine of 200 or all of the round's profit, whichever is more.",
    "The weather was mild and the harbour was open for most of the season.",
    "Records are kept for seven years and may be read by anybody who asks.",
    "Firms are named in alphabetical order, which has no other meaning.",
    "The market opens at nine in the morning and closes when all have decided.",
)


def constitution(chance: np.random.Generator) -> str:
    """Two to eight of the sentences in any order, as a list."""
    count = int(chance.integers(2, 9))
    chosen = chance.permutation(len(SENTENCES))[:count]
    return "\n".join(f"{n}. {SENTENCES[at]}" for n, at in enumerate(chosen, start=1))
