"""Questions of a made-up market, for whoever serves the model."""

from agents.language.exchange import Message, Request

SCHEMA = {
    "type": "object",
    "properties": {
        "quantity": {"type": "integer", "minimum": 0, "maximum": 100},
        "plans": {"type": "string", "maxLength": 40},
    },
    "required": ["quantity", "plans"],
    "additionalProperties": False,
}


def question(number, **fields):
    """What seat `number` is asked: its own text and its own seed."""
    return Request(
        **{
            "model": "tiny",
            "messages": (
                Message("system", "You sell into a market with one rival. Answer in JSON."),
                Message("user", f"Round {number}. The price was {100 - number}. How much?"),
            ),
            "schema": SCHEMA,
            "temperature": 1.0,
            "max_tokens": 400,
            "seed": number,
            **fields,
        }
    )


def is_well_formed(answer):
    """Whether a parsed answer is what `SCHEMA` asks for."""
    return (
        set(answer) == {"quantity", "plans"}
        and type(answer["quantity"]) is int
        and 0 <= answer["quantity"] <= 100
        and isinstance(answer["plans"], str)
        and len(answer["plans"]) <= 40
    )
