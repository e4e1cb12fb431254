"""What can go wrong with a ledger: one family of errors, all of them for the user to read."""

from institutional.errors import InstitutionalError


class LedgerError(InstitutionalError):
    """A ledger could not be read, written or trusted: the message says where and what next."""


class SignatureError(LedgerError):
    """A signature claims a known key and is not by it."""


class UnknownKeyError(LedgerError):
    """Nothing here is signed by the key at hand."""


class UnknownVersionError(LedgerError):
    """Well formed, but of a kind or version that this program does not know."""


class DivergedError(LedgerError):
    """Two histories under one name: what a witness saw and what is here cannot both be true."""
