"""Every study by name. A module is imported when its study is asked for, never before."""

from importlib import import_module

from institutional.errors import InstitutionalError, suggestion
from institutional.studies.study import Study

NAMES = (
    "calvano2020",
    "calvano2020_robustness",
    "waltman_kaymak2008",
    "lin2024_learners",
    "copg2024",
    "online_ipo2024",
    "mnpo2025",
    "ranking2024",
    "cpo2026",
    "rdpo2024",
    "repo2025",
    "rpo2024",
    "power2024",
    "crm2025",
    "ra_dpo2024",
    "online_offline2024",
    "osp2024",
    "trpa2025",
    "salsa2024",
)
"""One module of this package each, with its record as `STUDY`."""


def study(name: str) -> Study:
    """Return the study `name`; InstitutionalError says which there are."""
    if name not in NAMES:
        raise InstitutionalError(
            f'there is no study "{name}"\n  studies: {", ".join(NAMES)}.{suggestion(name, NAMES)}'
        )
    found: Study = import_module(f"institutional.studies.{name}").STUDY
    return found
