"""The command line of DVC, as the commands beside the pipeline use it."""

import subprocess


def output(*arguments: str) -> str:
    """Run `dvc` and return its output; a failure ends with DVC's own exit status, since DVC has said why."""
    done = subprocess.run(["dvc", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.strip()
