"""A service that knows nothing of tokens: it believes the headers that its proxy sets. `backend.py PORT`."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Orders(BaseHTTPRequestHandler):
    def do_GET(self):
        user = self.headers.get("X-User-Id") or "nobody"
        email = self.headers.get("X-User-Email") or "no address"
        client = self.headers.get("X-Client-Id") or "none"
        text = f"The orders of {user} ({email}), client {client}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


# On loopback: whoever reaches it without the proxy can be anybody.
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Orders).serve_forever()
