"""Real S3 servers on loopback: rclone, which keeps each object as a plain file, and SeaweedFS."""

import json
import os
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
        identity = {
            "name": KEY,
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))

    def command(self) -> list[str]:
        names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
        names += ["filer.port", "filer.port.grpc", "s3.port.grpc"]
        ports = [f"-{name}={port}" for name, port in zip(names, self.ports, strict=True)]
        identities = f"-s3.config={self.folder / 'identities.json'}"
        volumes = ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-s3.port.iceberg=0"]
        places = [f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={self.port}"]
        return [str(BIN / "weed"), "server", "-s3", *places, identities, *ports, *volumes]
