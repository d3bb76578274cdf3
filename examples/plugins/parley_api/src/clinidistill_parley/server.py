"""Parley on loopback: a server whose "model" knows a handful of words. ``python -m clinidistill_parley.server``"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["ParleyServer"]

WORDS = {"metformin": "medication", "lisinopril": "medication", "aspirin": "medication", "cough": "symptom"}
_NOTE = re.compile(r"<note>(.*)</note>", re.DOTALL)


class ParleyServer:
    """Serves in a thread while its context is open.

    Args:
        port: 0 takes a free one.
        busy: how many requests it first turns away with 429.

    Attributes:
        url: its address.
        requests: the bodies that came, and were answered or turned away.
    """

    def __init__(self, port: int = 0, busy: int = 0):
        self.requests: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(request)
                turned_away = len(outer.requests) <= busy
                body = json.dumps({} if turned_away else _answer(request)).encode()
                self.send_response(429 if turned_away else 200)
                for name, value in {"content-length": len(body), "parley-pace": 6000, "retry-after": 0}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: a log is no place for notes."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread."""
        self._server.serve_forever()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    asked = request["turns"][-1]["says"]
    note = found[1] if (found := _NOTE.search(asked)) else asked
    words = re.finditer("|".join(WORDS), note, re.IGNORECASE)
    mentions = [{"text": word[0], "label": WORDS[word[0].lower()]} for word in words]
    says = json.dumps({"mentions": mentions})
    return {"says": says, "done": True, "model": request["model"], "heard": len(asked) // 4, "spoken": len(says) // 4}


if __name__ == "__main__":
    with_port = ParleyServer(8123)
    print(f"Parley listens on {with_port.url}; Ctrl-C ends it")
    with_port.serve_forever()
