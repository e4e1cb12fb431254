"""Trainers of others that carry a row of the method table; what they need is imported when used."""

from typing import TYPE_CHECKING, Any

from agents.alignment.batch import AlignmentError
from agents.alignment.method import Method

if TYPE_CHECKING:
    from agents.alignment.carrier.fixed import FixedTrainer
    from agents.alignment.carrier.fresh import FreshTrainer


def require_trl() -> None:
    """Raise AlignmentError, with the way to install it, if TRL is not there."""
    try:
        import trl  # noqa: F401, PLC0415 - the one place where the extra is asked for
    except ImportError as error:
        raise AlignmentError(
            "training language models this way needs TRL, which is not installed\n"
            "  pip install 'institutional[trl]'"
        ) from error


def fixed(method: Method, **settings: Any) -> "FixedTrainer":
    """A trainer on fixed pairs, lists or labelled answers; settings as for TRL's DPOTrainer."""
    require_trl()
    from agents.alignment.carrier.fixed import FixedTrainer  # noqa: PLC0415 - needs the extra

    return FixedTrainer(method=method, **settings)


def fresh(method: Method, **settings: Any) -> "FreshTrainer":
    """A trainer that draws answers as it goes; settings as for TRL's GRPOTrainer."""
    require_trl()
    from agents.alignment.carrier.fresh import FreshTrainer  # noqa: PLC0415 - needs the extra

    return FreshTrainer(method=method, **settings)
