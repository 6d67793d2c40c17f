"""Signs in from a desktop app, as RFC 8252 wants it: in the system's browser, and back by way of this machine's loopback address.

    python desktop.py BASE [PROVIDER]

BASE is the first address that `tokenbooth demo` prints; PROVIDER is google (unless you say otherwise), github or acme. At a
tokenbooth of your own, "http://127.0.0.1/callback" must be in `sign_in.redirect_uris`. Needs httpx (`pip install httpx`).

The app never sees a provider's token, nor a password. Its own tokens are in memory only: whoever closes it has signed out. A
window (Flet, Qt, Tk …) would call `Session` from its buttons. CI replaces the browser, as anybody can, by the environment
variable BROWSER.
"""

import base64
import hashlib
import http.server
import secrets
import sys
import threading
import time
import urllib.parse
import webbrowser

import httpx

# Renewed so much before its end, a token does not end on its way.
MARGIN = 30
# `sign_in.client_id` of the tokenbooth.
CLIENT_ID = "app"


class SignInFailed(Exception):
    pass


class Listener(http.server.HTTPServer):
    """Waits on a port of the system's choice for the one redirect that brings the code."""

    def __init__(self):
        self.returned: dict[str, str] | None = None
        super().__init__(("127.0.0.1", 0), Callback)
        self.redirect_uri = f"http://127.0.0.1:{self.server_port}/callback"

    def wait(self, seconds: float) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        while self.returned is None and (left := deadline - time.monotonic()) > 0:
            self.timeout = left
            # A browser asks for other things, too, an icon for example.
            self.handle_request()
        if self.returned is None:
            raise SignInFailed("nobody signed in")
        return self.returned


class Callback(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        found = url.path == "/callback"
        if found:
            self.server.returned = dict(urllib.parse.parse_qsl(url.query))
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        # The address of this page has the code in it.
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(b"You may close this window and go back to the app." if found else b"")

    def log_message(self, *_):
        """Nothing: the line would have the code in it."""


class Session:
    """Who is signed in. Renews the access token before it ends, and when it is refused."""

    def __init__(self, base: str):
        self.http = httpx.Client(base_url=base, timeout=10)

    def sign_in(self, provider: str) -> None:
        listener = Listener()
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = urllib.parse.urlencode({
            "redirect_to": listener.redirect_uri,
            "client_id": CLIENT_ID,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        })
        url = f"{self.http.base_url.join(f'/auth/{provider}/login')}?{query}"
        # A browser of the terminal comes back only when it is closed.
        threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
        with listener:
            returned = listener.wait(seconds=300)
        # An app that knows several servers must not send one server's code to another (RFC 9207 §2.4).
        if returned.get("iss") != self.issuer():
            raise SignInFailed("the browser came back from another server")
        # Somebody else's page may have sent the browser here with a code of its own (RFC 6749 §10.12).
        if not secrets.compare_digest(returned.get("state", ""), state):
            raise SignInFailed("the browser came back from a sign-in that is not ours")
        if "code" not in returned:
            raise SignInFailed(returned.get("error_description") or returned.get("error"))
        self.keep(self.http.post("/oauth/token", data={
            "grant_type": "authorization_code",
            "code": returned["code"],
            "redirect_uri": listener.redirect_uri,
            "client_id": CLIENT_ID,
            "code_verifier": verifier,
            "scope": "offline_access",
        }))

    def issuer(self) -> str:
        return self.http.get("/.well-known/oauth-authorization-server").raise_for_status().json()["issuer"]

    def keep(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            # RFC 6749 at /oauth/token, RFC 9457 elsewhere; something on the way may answer in its own words.
            problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
            reason = problem.get("error_description") or problem.get("detail")
            raise SignInFailed(reason or f"{answer.url} answers {answer.status_code}")
        tokens = answer.json()
        self.user = tokens["user"]
        self.access_token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
        self.renew_at = time.monotonic() + tokens["expires_in"] - MARGIN

    def renew(self) -> None:
        self.keep(self.http.post("/auth/refresh", json={"refresh_token": self.refresh_token}))

    def get(self, path: str) -> httpx.Response:
        if time.monotonic() >= self.renew_at:
            self.renew()
        answer = self.get_once(path)
        if answer.status_code == 401:
            self.renew()
            answer = self.get_once(path)
        return answer.raise_for_status()

    def get_once(self, path: str) -> httpx.Response:
        return self.http.get(path, headers={"Authorization": f"Bearer {self.access_token}"})

    def sign_out(self) -> None:
        self.http.post("/auth/logout", json={"refresh_token": self.refresh_token}).raise_for_status()


def main(base: str, provider: str = "google") -> None:
    session = Session(base)
    print(f"The browser opens; sign in with {provider} there.")
    session.sign_in(provider)
    print(f"Signed in: {session.user['name']} <{session.user['email']}>")

    # As if half an hour had gone by: the app notices nothing of either.
    session.renew_at = 0
    print(f"GET /api/me, renewed before the end: {session.get('/api/me').json()['id']}")
    session.access_token = "refused"
    print(f"GET /api/me, renewed after a 401: {session.get('/api/me').json()['id']}")

    session.sign_out()
    try:
        session.renew()
    except SignInFailed as refused:
        print(f"Signed out: {refused}")
    else:
        sys.exit("the session is over, and can be renewed all the same")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (SignInFailed, httpx.HTTPError) as error:
        sys.exit(f"The sign-in failed: {error}")
