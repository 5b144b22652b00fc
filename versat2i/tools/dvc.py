"""The command line of DVC, as the commands beside the pipeline use it."""

import subprocess


def output(*arguments: str) -> str:
    """What `dvc` printed; ends with its exit status if that is not 0, as DVC has said why."""
    done = subprocess.run(["dvc", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.strip()
