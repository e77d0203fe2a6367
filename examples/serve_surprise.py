"""Serves a model that states its surprise: python serve_surprise.py 8800. It needs NumPy, and no physbench.

physbench eval http://127.0.0.1:8800 --suite expectation
"""

import json
import struct
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np

CARD = {
    "answers": "surprise",
    "name": "change",
    "image_size": [64, 64],
    "fps": 15,
    "context_frames": 4,
    "unit": "squared change of pixels",
}


def surprise(video, context, prompts, seeds):
    """Films (B, T, H, W, 3) uint8 -> numbers (B, T): how much each frame differs from the one before it."""
    change = np.square(np.diff(video.astype(float), axis=1) / 255).mean((2, 3, 4))
    return np.pad(change, ((0, 0), (1, 0)))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection open

    def do_GET(self):
        self.answer({"protocol": 1, "card": CARD, "model_sha256": None})

    def do_POST(self):
        (length,) = struct.unpack("<I", self.rfile.read(4))
        head = json.loads(self.rfile.read(length))
        frames = head["context_frames"] + head["horizon"]
        shape = (head["batch"], frames, head["height"], head["width"], 3)
        video = np.frombuffer(self.rfile.read(int(np.prod(shape))), np.uint8).reshape(shape)
        values = surprise(video, head["context_frames"], head["prompts"], head["seeds"])
        self.answer({"surprise": values.tolist()})

    def answer(self, document):
        text = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print(f"physbench eval http://127.0.0.1:{server.server_port} --suite expectation", file=sys.stderr, flush=True)
    server.serve_forever()
