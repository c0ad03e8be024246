"""A web server: keeps notes in memory."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOTES: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"ok": True})
        elif self.path == "/notes":
            self.answer(200, {"notes": NOTES, "count": len(NOTES)})
        else:
            self.answer(404, {"error": "there is no such page"})

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        NOTES.append(told["note"])
        self.answer(201, {"count": len(NOTES)})

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
