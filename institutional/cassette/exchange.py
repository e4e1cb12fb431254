r"""What a model was asked and answered in one run, as lines of `<run>/cassette.jsonl`.

    {"format":"institutional.cassette/1","key":"5f…","run":"institutional-pocket-0000"}
    {"sha256":"a1…","text":"You run one of two firms…"}
    {"address":"09…","place":["firm_1",0,0],"reply":{…},"request":{…,"messages":[["system",{"sha256":"a1…"}],…]}}

Every line is canonical JSON with one newline. A text of `LONG` characters or more, and every
schema, is stored once, on a line before the first that refers to it by its SHA-256.

A ledger names an exchange by its address: HMAC-SHA-256, under the key in the header, of the line
without the address; the texts are bound by their digests. So the log of a run, given away without
the cassette, reveals nothing of what was said: nobody without the key can even test a guess.
Erasing the whole file leaves just that. Erasing or replacing single lines of it is no redaction:
the key still tests guesses at what was there, and a reader refuses what refers to a text that is
gone.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

from agents.language.exchange import Message, Place, Reply, Request
from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError

FILE_NAME = "cassette.jsonl"
FORMAT = "institutional.cassette/1"
LONG = 128
MAX_LINE = 1 << 24
MAX_REPLY = 1 << 20
"""Characters of a reply that are kept: 256 times what a model with the usual limit can say."""


class Header(NamedTuple):
    """The first line: whose exchanges these are, and the key of their addresses."""

    run: str
    key: bytes  # 32

    def line(self) -> bytes:
        """The header as it is stored."""
        return _line({"format": FORMAT, "run": self.run, "key": self.key.hex()})


class Exchange(NamedTuple):
    """One question and its answer."""

    request: Request
    reply: Reply


def address(key: bytes, place: Place, exchange: Exchange) -> str:
    """The name by which a ledger knows this exchange, 64 hexadecimal digits."""
    return _named(key, canonical.encode(_stored(place, exchange)[0]))


def _named(key: bytes, stored: bytes) -> str:
    return hmac.new(key, stored, hashlib.sha256).hexdigest()


def _stored(place: Place, exchange: Exchange) -> tuple[dict[str, Any], dict[str, str]]:
    """The exchange as it is stored, and the texts it refers to by their SHA-256 in hex."""
    texts: dict[str, str] = {}

    def by_digest(text: str) -> dict[str, str]:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        texts[digest] = text
        return {"sha256": digest}

    request = exchange.request.as_json()
    request["messages"] = [
        [m.role, m.content if len(m.content) < LONG else by_digest(m.content)]
        for m in exchange.request.messages
    ]
    request["schema"] = by_digest(canonical.encode(request["schema"]).decode())
    whole = {"place": list(place), "request": request, "reply": exchange.reply.as_json()}
    return whole, texts


def lines(key: bytes, place: Place, exchange: Exchange, known: set[str]) -> tuple[bytes, str]:
    """The exchange as it is stored, after the texts that are not `known` yet (and are now).

    With them the address. Raises LedgerError for what cannot be stored and read back.
    """
    whole, texts = _stored(place, exchange)
    stored = canonical.encode(whole)
    name = _named(key, stored)
    new = [
        _bounded(b'{"sha256":"%b","text":%b}\n' % (digest.encode(), canonical.encode_text(text)))
        for digest, text in texts.items()
        if digest not in known
    ]
    known.update(texts)
    # The first name in the order of a canonical object.
    line = _bounded(b'{"address":"%b",%b\n' % (name.encode(), stored[1:]))
    return b"".join([*new, line]), name


def _line(value: dict[str, Any]) -> bytes:
    return _bounded(canonical.encode(value) + b"\n")


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_LINE:
        raise LedgerError(f"a line of {len(data)} bytes; {MAX_LINE} are allowed")
    return data


def parse_header(data: bytes) -> Header:
    """Return what a first line says; raises LedgerError for anything else."""
    match canonical.decode(data):
        case {"format": str(found), "run": str(run), "key": str(key), **more} if not more:
            if found != FORMAT:
                raise LedgerError(f"a cassette of the format {found[:80]!a}, unknown here")
            return Header(run, _digest(key))
    raise LedgerError("not the header of a cassette (format, run, key)")


def parse_line(
    data: bytes, key: bytes, texts: dict[str, str]
) -> tuple[Place, Exchange, str] | None:
    """Return place, exchange and address of a line, or None for a text, which joins `texts`.

    `texts` maps SHA-256 in hex to text. Raises LedgerError for anything that `lines` does not
    write, an address that is not the exchange's among it.
    """
    value = canonical.decode(data)
    match value:
        case {"sha256": str(digest), "text": str(text), **more} if not more:
            if hashlib.sha256(text.encode()).hexdigest() != digest:
                raise LedgerError("a text that is not the one its SHA-256 names")
            if digest in texts:
                raise LedgerError("a text for the second time")
            texts[digest] = text
            return None
        case {
            "address": str(name),
            "place": [str(agent), int(round_), int(attempt)],
            "request": dict(request),
            "reply": dict(reply),
            **more,
        } if not more and not isinstance(round_, bool) and not isinstance(attempt, bool):
            place = Place(agent, round_, attempt)
            exchange = Exchange(_request(request, texts), _reply(reply))
            rest = {"place": value["place"], "request": request, "reply": reply}
            if not hmac.compare_digest(name, _named(key, canonical.encode(rest))):
                raise LedgerError(f"the exchange at {said(place)} was altered")
            return place, exchange, name
    raise LedgerError("neither a text nor an exchange")


def said(place: Place) -> str:
    """A place in words."""
    return f"{place.agent}, round {place.round}, attempt {place.attempt}"


def _request(value: Mapping[str, Any], texts: Mapping[str, str]) -> Request:
    match value:
        case {
            "model": str(model),
            "messages": list(messages),
            "schema": {"sha256": str(schema)},
            "temperature": int() | float() as temperature,
            "max_tokens": int(max_tokens),
            "seed": int(seed),
            **more,
        } if not more:
            return Request(
                model=model,
                messages=tuple(_message(message, texts) for message in messages),
                schema=canonical.decode(_text(schema, texts).encode()),
                temperature=float(temperature),
                max_tokens=max_tokens,
                seed=seed,
            )
    raise LedgerError("no request to a model")


def _message(value: object, texts: Mapping[str, str]) -> Message:
    match value:
        case [("system" | "user" | "assistant") as role, str(content)] if len(content) < LONG:
            return Message(role, content)
        case [("system" | "user" | "assistant") as role, {"sha256": str(digest), **more}] if (
            not more
        ):
            return Message(role, _text(digest, texts))
    raise LedgerError("no message to a model")


def _reply(value: Mapping[str, Any]) -> Reply:
    match value:
        case {
            "text": str(text),
            "finish": ("stop" | "length") as finish,
            "prompt_tokens": int(prompt),
            "completion_tokens": int(completion),
            "served": str(served),
            **more,
        } if not more:
            return Reply(
                text=text,
                finish=finish,
                prompt_tokens=prompt,
                completion_tokens=completion,
                served=served,
            )
    raise LedgerError("no reply of a model")


def _text(digest: str, texts: Mapping[str, str]) -> str:
    if digest not in texts:
        raise LedgerError(f"refers to the text {digest[:16]!a}, which is not on the lines before")
    return texts[digest]


def _digest(text: str) -> bytes:
    found = bytes.fromhex(text) if len(text) == 64 and text.isascii() else b""
    if found.hex() != text:
        raise LedgerError("the key of a cassette is not 32 bytes in hex")
    return found
