"""Speed targets as figures of one run; see README.md in this folder."""
