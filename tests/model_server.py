"""An OpenAI-compatible server on loopback that says what a test tells it to."""

import base64
import http.server
import io
import json
import threading
import time

import numpy as np
import PIL.Image


class ModelServer(http.server.ThreadingHTTPServer):
    """``with ModelServer(says) as server``: `says(body, image)` gives a reply, or ``{token: log-probability}``.

    Attributes:
        bodies: of the requests, in the order in which they came.
        headers: of the last one.
        failures: (status, body) of the next answers, before it answers; None drops the connection.
        pause: seconds before each answer.
        most: requests that were under way at a time.
    """

    daemon_threads = True

    def __init__(self, says):
        super().__init__(("127.0.0.1", 0), Answer)
        self.says, self.bodies, self.failures, self.pause = says, [], [], 0.0
        self.headers, self.under_way, self.most, self.lock = {}, 0, 0, threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that hung up is part of the tests."""


def shown(body):
    """The image of a request, ``uint8 [height, width, 3]``, and its text."""
    picture, text = body["messages"][-1 if body["messages"][-1]["role"] == "user" else -2]["content"]
    data = picture["image_url"]["url"].removeprefix("data:image/png;base64,")
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data)))), text["text"]


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.bodies.append(body)
            server.headers = dict(self.headers)
            failure = server.failures.pop(0) if server.failures else ()
            server.under_way += 1
            server.most = max(server.most, server.under_way)
        time.sleep(server.pause)
        with server.lock:
            server.under_way -= 1
        if failure is None:
            self.close_connection = True
            return
        status, text = failure or (200, self.completion(body))
        if self.path != "/v1/chat/completions":
            status, text = 404, '{"error": "no such page"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        """A list of the one model that is served."""
        text = json.dumps({"object": "list", "data": [{"id": "a/model", "object": "model"}]})
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def completion(self, body):
        said = self.server.says(body, *shown(body))
        if isinstance(said, str):
            return json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]})
        ranked = [{"token": token, "logprob": value, "bytes": None} for token, value in said.items()]
        first = max(ranked, key=lambda token: token["logprob"])
        content = [{**first, "top_logprobs": ranked if body.get("logprobs") else []}]
        message = {"role": "assistant", "content": first["token"]}
        return json.dumps({"choices": [{"index": 0, "message": message, "logprobs": {"content": content}}]})

    def log_message(self, *_):
        """Quiet."""
