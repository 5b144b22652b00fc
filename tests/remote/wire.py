"""A relay on loopback in front of a server: it counts bytes, notes requests, and can kill the server mid-stream."""

import contextlib
import re
import socket
import socketserver
import threading

from servers import Server

REQUEST = re.compile(rb"^(GET|PUT|HEAD|POST|DELETE) /(\S*) HTTP/1\.1\r\n")
CHUNK = 16 * 1024


class Wire(socketserver.ThreadingTCPServer):
    """``with Wire(server) as wire``: clients use ``wire.endpoint``.

    Attributes:
        up, down: bytes sent by clients and by the server since `reset`.
        requests: (method, path with query) of each request since `reset`.
        cut_up, cut_down: the server is killed (SIGKILL) before more than this many bytes have passed.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.server, self.lock = server, threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.reset()

    def __enter__(self) -> "Wire":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def reset(self, cut_up: int | None = None, cut_down: int | None = None) -> None:
        self.up = self.down = 0
        self.cut_up, self.cut_down = cut_up, cut_down
        self.requests: list[tuple[str, str]] = []

    def objects(self, method: str) -> list[str]:
        """Keys of the objects that were asked for by this method, without listings."""
        return [path for name, path in self.requests if name == method and "?list-type" not in path]

    def passed(self, data: bytes, upwards: bool) -> bool:
        """Count data; False if the plug is pulled instead."""
        with self.lock:
            total = len(data) + (self.up if upwards else self.down)
            limit = self.cut_up if upwards else self.cut_down
            if limit is not None and total > limit:
                self.server.kill()
                return False
            if upwards:
                self.up = total
                if found := REQUEST.match(data):
                    self.requests.append((found[1].decode(), found[2].decode()))
            else:
                self.down = total
            return True


class Relay(socketserver.BaseRequestHandler):
    server: Wire

    def handle(self) -> None:
        try:
            there = socket.create_connection(("127.0.0.1", self.server.server.port))
        except OSError:
            return  # a dead server: the client sees its connection closed
        with there:
            answers = threading.Thread(target=self.pump, args=(there, self.request, False), daemon=True)
            answers.start()
            self.pump(self.request, there, True)
            answers.join()

    def pump(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:
        with contextlib.suppress(OSError):
            while (data := source.recv(CHUNK)) and self.server.passed(data, upwards):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
