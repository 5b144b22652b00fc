"""Real S3 servers on loopback: rclone, which keeps each object as a plain file, and SeaweedFS."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

KEY, SECRET, BUCKET = "team", "not-a-real-secret", "bucket"
BIN = Path(sys.executable).parent
STARTS_WITHIN = 60.0  # seconds, on a machine with other work


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    """Whether an HTTP server is there; an S3 server refuses an anonymous request, which is an answer."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def rclone(server: "Server", key: str, secret: str, *arguments: str) -> bool:
    """Whether rclone as a client does what it is told."""
    keys = {"PROVIDER": "Other", "ACCESS_KEY_ID": key, "SECRET_ACCESS_KEY": secret}
    settings = {**keys, "ENDPOINT": f"http://127.0.0.1:{server.port}", "FORCE_PATH_STYLE": "true"}
    variables = {f"RCLONE_S3_{name}": value for name, value in settings.items()}
    command = [BIN / "rclone", "--config", "", "--retries", "1", "--low-level-retries", "1", *arguments]
    return not subprocess.run(command, env=os.environ | variables, capture_output=True).returncode


class Server:
    """One server process on a port of its own; it may be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir(parents=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder.parent, start_new_session=True
            )
        end = time.monotonic() + STARTS_WITHIN
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.command()[0]} did not start: see {log.name}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL, as a lost machine would go."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def restart(self) -> None:
        """Forget what it keeps in memory about its files."""
        self.kill()
        self.start()


class Rclone(Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / BUCKET).mkdir()

    def command(self) -> list[str]:
        options = ["--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{KEY},{SECRET}", "--config", ""]
        return [str(BIN / "rclone"), "serve", "s3", str(self.folder), *options]


class SeaweedFS(Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports = [free_port() for _ in range(7)]

    def command(self) -> list[str]:
        names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
        names += ["filer.port", "filer.port.grpc", "s3.port.grpc"]
        ports = [f"-{name}={port}" for name, port in zip(names, self.ports, strict=True)]
        volumes = ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-s3.port.iceberg=0"]
        places = [f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={self.port}"]
        return [str(BIN / "weed"), "server", "-s3", *places, *ports, *volumes]

    def start(self) -> None:
        super().start()
        user = f"-user {KEY} -access_key {KEY} -secret_key {SECRET} -actions Admin,Read,Write,List,Tagging"
        self.shell(f"s3.configure {user} -apply")

    def shell(self, line: str) -> str:
        """What SeaweedFS's own console prints."""
        master, filer = (f"127.0.0.1:{port}.{grpc}" for port, grpc in (self.ports[:2], self.ports[4:6]))
        command = [BIN / "weed", "shell", f"-master={master}", f"-filer={filer}"]
        return subprocess.run(command, input=f"{line}\nexit\n", capture_output=True, text=True, check=True).stdout

    def short_lived_keys(self, seconds: int) -> tuple[str, str]:
        """Keys of the same user that the server refuses after a while."""
        made = self.shell(f"s3.serviceaccount.create -user {KEY} -expiry {seconds}s")
        return re.search(r"Access Key: (\S+)\nSecret Key: (\S+)\n", made).groups()
