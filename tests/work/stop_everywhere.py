"""Run a stage again and again, each time in a fork that a signal stops one bytecode later than the last.

Usage: ``python stop_everywhere.py NUMBER [ERROR]``; with an error the stage ends by it. Prints a line of JSON a run:
``[where, status, what it said]``, and ends with the run that the signal no longer reached. Bytecodes count in the
modules that end a stage and in contextlib.
"""

import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from stages import command, graph
from versat2i.settings import environment
from versat2i.work import failures, timings

COUNTED = (failures.__file__, command.__file__, contextlib.__file__)


@click.command()
@command.stage
def main() -> str:
    if sys.argv[2:]:
        raise ValueError(sys.argv[2])
    return "done"


def stop_at(moment: int, number: int, where: int) -> Callable | None:
    """A trace that raises a signal before the bytecode of that number, and writes first where that is."""
    counter = itertools.count()

    def trace(frame: FrameType, event: str, argument: Any) -> Callable | None:
        if frame.f_code.co_filename not in COUNTED:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(counter) == moment:
            os.write(where, f"{frame.f_code.co_name}:{frame.f_lineno}".encode())
            signal.raise_signal(number)
        return trace

    return trace


def stopped(moment: int, number: int) -> tuple[str, int, str]:
    """Run the stage in a fork and stop it: where that was, its exit status, what it said."""
    (where, tell), (said, say) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(say, 1)
        os.dup2(say, 2)
        failures.tell_early(["-m", "stages.stop_everywhere"])
        status = 255
        sys.settrace(stop_at(moment, number, tell))
        try:
            main([])
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            sys.settrace(None)
            sys.stdout.flush()
            os._exit(status)
    os.close(tell)
    os.close(say)
    with os.fdopen(where) as place, os.fdopen(said) as words:
        return place.read(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), words.read()


if __name__ == "__main__":
    environment.check = graph.check = lambda: None
    timings.note = lambda *_: None
    for moment in itertools.count():
        run = stopped(moment, int(sys.argv[1]))
        print(json.dumps(run), flush=True)
        if not run[0]:
            break
