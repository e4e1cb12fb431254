"""Writes golden/tables/zeros.parquet: a small table of which one page unpacks to 1.2 gigabytes."""

from pathlib import Path

import numpy as np
import polars as pl

ROWS = 150_000_000

if __name__ == "__main__":
    pl.DataFrame({"round": np.zeros(ROWS)}).write_parquet(
        Path(__file__).parent / "golden/tables/zeros.parquet",
        row_group_size=ROWS,
        data_page_size=2_000_000_000,
    )
