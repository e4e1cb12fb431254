import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_run import KEY, OPERATOR, TRUST

from institutional.ledger.errors import LedgerError
from institutional.ledger.note import SigningKey, key_id, to_base64
from institutional.ledger.trust import parse_trust

OTHERS = [SigningKey(f"w{n}", bytes([n + 1]) * 32).verify_key.vkey for n in range(3)]


def cosigner(name):
    typed = b"\x04" + b"w" * 32
    return f"{name}+{key_id(name, typed).hex()}+{to_base64(typed)}"


def test_a_lone_key_is_trusted_without_witnesses():
    assert parse_trust(TRUST + "\n") == ((OPERATOR.verify_key,), "none")


def test_the_nested_quorum_of_the_specification_is_understood():
    trusted = parse_trust(
        f"# policy\nlog {KEY.verify_key.vkey} https://log.example\n\n"
        f"witness X1 {OTHERS[0]}\n\twitness X2 {OTHERS[1]}\nwitness Y {cosigner('y.example')}\n"
        "group X 2 X1 X2\ngroup X-and-Y all X Y\nquorum X-and-Y\n"
    )

    assert trusted == ((KEY.verify_key,), "X-and-Y")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "quorum none",
        f"log {TRUST}",
        f"log {TRUST}\nlog {TRUST}\nquorum none",
        f"log {TRUST}\nquorum none\nquorum none",
        f"log {TRUST}\nquorum W",
        f"log {TRUST} url more\nquorum none",
        f"log {TRUST}\nwitness W {TRUST}\nquorum none",
        f"log {TRUST}\nwitness none {OTHERS[0]}\nquorum none",
        f"log {TRUST}\nwitness W {OTHERS[0]}\nwitness W {OTHERS[1]}\nquorum W",
        f"log {TRUST}\nwitness W {OTHERS[0]}\ngroup G any W W\nquorum G",
        f"log {TRUST}\nwitness W {OTHERS[0]}\ngroup G 2 W\nquorum G",
        f"log {TRUST}\nwitness W {OTHERS[0]}\ngroup G 0 W\nquorum G",
        f"log {TRUST}\nwitness W {OTHERS[0]}\ngroup G 01 W\nquorum G",
        f"log {TRUST}\ngroup G any G\nquorum G",
        f"log {TRUST}\nunknown line\nquorum none",
        f"log {TRUST}\rquorum none",
        f"log {TRUST}\n" + "#\n" * 40_000 + "quorum none",
    ],
)
def test_a_malformed_policy_is_refused(text):
    with pytest.raises(LedgerError):
        parse_trust(text)


@given(st.text(max_size=80))
def test_any_text_is_a_policy_or_the_one_error(text):
    with pytest.raises(LedgerError):
        parse_trust(text)
