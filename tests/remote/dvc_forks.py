"""DVC's own command line with its imports paid once: each command runs in a fork of this process.

Two thirds of a short command's time are imports. Reads a request a line from standard input, answers with the exit
status: {"arguments": [...], "folder": ..., "environment": {...}, "output": file}.
"""

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

MODULES = ("dvc.cli.parser", "dvc.repo.get", "dvc.repo.push", "dvc.repo.fetch", "dvc_s3", "s3fs", "gto.tag")
LONGEST = 900  # seconds, on a machine with other work


def imports() -> Any:
    """Import what commands import, and return DVC's entry point; nothing here may start a thread."""
    for name in MODULES:
        importlib.import_module(name)
    return importlib.import_module("dvc.cli").main


def work(main: Any, request: dict[str, Any]) -> None:
    """In the child: be the command."""
    signal.alarm(LONGEST)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptor, path in enumerate([os.devnull, request["output"], request["output"]]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666), descriptor)
    status = 255
    try:
        status = main(request["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve() -> None:
    main = imports()
    for line in sys.stdin:
        request = json.loads(line)
        Path(request["output"]).write_bytes(b"")
        child = os.fork()
        if child == 0:
            work(main, request)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
