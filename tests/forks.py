"""`dvc` and ``python -m NAME`` with their imports paid once: each is a fork of a process that has imported the large
packages already.

Nine tenths of a stage's time on a tiny model, and two thirds of a short DVC command's, are imports. A fork has them
at once and imports the project's own modules afresh, from the folder it runs in: it does what a new process does.
"""

import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

LONGEST = 900  # seconds, on a machine with other work
DVC = ("dvc.cli.parser", "dvc.repo.get", "dvc.repo.push", "dvc.repo.fetch", "dvc_s3", "s3fs", "gto.tag")
STAGES = (
    "PIL.JpegImagePlugin",
    "accelerate",
    "cv2",
    "diffusers.guiders",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "diffusers.schedulers.scheduling_ddpm",
    "diffusers.schedulers.scheduling_flow_match_euler_discrete",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "pandas",
    "peft",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "pydantic.json_schema",
    "pydantic.main",
    "pydantic.type_adapter",
    "safetensors.numpy",
    "safetensors.torch",
    "scipy.ndimage",
    "skimage.measure",
    "skimage.restoration",
    "torch",
    "transformers.models.clip",
    "yaml",
)


class Server:
    """The process that is forked; it ends with us, as its input does. Nothing that it imports may start a thread.

    Attributes:
        bin: a folder for PATH with `python` and `dvc`, which run in forks.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        home = Path(tempfile.mkdtemp(prefix="forks"))
        address = str(home / "socket")
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [sys.executable, __file__, address, *modules]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean)
        assert self.process.stdout is not None and self.process.stdout.readline() == b"ready\n"
        self.bin = home / "bin"
        self.bin.mkdir()
        for name in ("python", "dvc"):
            path = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})"
            code = f"#!{sys.executable} -IS\n{path}; import forks; forks.{name}({address!r})\n"
            (self.bin / name).write_text(code)
            (self.bin / name).chmod(0o755)


@functools.cache
def for_dvc() -> Path:
    """Put before PATH: `dvc` and `python` as forks of a process that has imported DVC."""
    return Server(DVC).bin


@functools.cache
def for_stages() -> Path:
    """Put before PATH: `python` as a fork of a process that has imported what stages import."""
    return Server(STAGES).bin


def ask(address: str, arguments: Sequence[str]) -> int:
    """Run ``python -m`` with these arguments in a fork. Returns its exit status, that of SIGKILL if it has none."""
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(address)
        socket.send_fds(there, [b"."], [1, 2])
        there.sendall(json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode())
        there.shutdown(socket.SHUT_WR)
        status = there.recv(16)
    return int(status) if status else 128 + signal.SIGKILL


def dvc(address: str) -> None:
    """Be `dvc` for a shell."""
    sys.exit(ask(address, ["dvc", *sys.argv[1:]]))


def python(address: str) -> None:
    """Be `python` for a shell."""
    if sys.argv[1:2] != ["-m"]:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    sys.exit(ask(address, sys.argv[2:]))


def work(connection: socket.socket) -> None:
    """In the fork: be the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(LONGEST)
    _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
    with connection.makefile("rb") as request:
        arguments, folder, environment = json.load(request)
    for target, source in enumerate([os.open(os.devnull, os.O_RDONLY), *outputs]):
        os.dup2(source, target)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *sys.path]
    importlib.invalidate_caches()
    sys.argv = list(arguments)  # the first is replaced by the module's path
    connection.sendall(str(_status(arguments[0])).encode())
    os._exit(0)


def _status(module: str) -> int:
    """Run a module as ``python -m`` does."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as the interpreter does at the end of a process
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve(address: str, modules: Sequence[str]) -> None:
    sys.path.remove(str(Path(__file__).parent))
    for name in modules:
        importlib.import_module(name)
    gc.freeze()  # or the first collection in each fork copies all that was imported
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks: their status comes by the socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                work(connection)
            connection.close()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
