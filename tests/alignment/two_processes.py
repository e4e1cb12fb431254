"""Trains one row on the same pairs in as many processes as it is started in; writes the losses."""

import json
import os
import sys
from pathlib import Path

from test_carrier import LOGGED, fixed, losses

if __name__ == "__main__":
    folder, size = Path(sys.argv[1]), int(sys.argv[2])
    args = {**LOGGED, "per_device_train_batch_size": size, "max_steps": 6}
    trainer = fixed("dpo", folder, using={"beta": 1.0}, args=args)
    trainer.train()
    if trainer.accelerator.is_main_process:
        found = [trainer.accelerator.num_processes, losses(trainer)]
        (folder / "losses.json").write_text(json.dumps(found))
    trainer.accelerator.wait_for_everyone()
    os._exit(0)  # threads of the process group now and then abort an orderly exit
