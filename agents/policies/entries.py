"""The networks as the catalogue lists them: nothing heavy is loaded before one takes a seat."""

from agents.contract import Agent, AgentError, Briefing


def require_torch() -> None:
    """Raise AgentError, with the way to install it, if torch is not there."""
    try:
        import torch  # noqa: F401, PLC0415 - the one place where the extra is asked for
    except ImportError as error:
        raise AgentError(
            "learning with networks needs torch, which is not installed\n"
            "  pip install 'institutional[train]'"
        ) from error


def network(briefing: Briefing, *, file: str = "") -> Agent:
    """A trained network; without a `file` an untrained one."""
    require_torch()
    from agents.policies.player import Player  # noqa: PLC0415 - needs the extra

    return Player(briefing, file=file)


def network_learner(
    briefing: Briefing,
    *,
    method: str,
    file: str = "",
    rounds_per_update: int = 64,
    learning_rate: float = 0.003,
    discount: float = 0.95,
) -> Agent:
    """A network that learns while it plays."""
    require_torch()
    from agents.policies.player import LearningPlayer  # noqa: PLC0415 - needs the extra

    return LearningPlayer(
        briefing,
        method=method,
        file=file,
        rounds_per_update=rounds_per_update,
        learning_rate=learning_rate,
        discount=discount,
    )


def preference_policy(briefing: Briefing, *, file: str = "", temperature: float = 0.0) -> Agent:
    """A policy over levels, trained on preferences; without a `file` an untrained one."""
    require_torch()
    from agents.policies.level_player import LevelPlayer  # noqa: PLC0415 - needs the extra

    return LevelPlayer(briefing, file=file, temperature=temperature)
