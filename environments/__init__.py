"""The environments of Institutional; see README.md in this folder."""
