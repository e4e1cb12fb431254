"""The agents of Institutional; see README.md in this folder."""
