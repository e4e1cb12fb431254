"""What the pocket model learns from: conversations, each with the answer that is right."""

from typing import NamedTuple

from agents.language.exchange import Message


class Pair(NamedTuple):
    """What is asked, and the answer to it."""

    messages: tuple[Message, ...]
    answer: str
