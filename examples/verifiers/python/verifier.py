"""Verifies tokenbooth's tokens in a service of its own: no secret is shared, nobody is asked for each request, and who was
revoked is out within seconds. Wants `pip install 'PyJWT[crypto]==2.15.1'`; `service.py` beside it shows how it is used.
"""

import logging
import threading
import time
import urllib.request
from typing import Any

import jwt


class Verifier:
    def __init__(self, base: str, audience: str = "tokenbooth") -> None:
        self.base, self.audience, self.lock = base, audience, threading.Lock()
        self.keys: dict[str, jwt.PyJWK] = {}
        self.keys_at, self.since = float("-inf"), 0
        self.users: dict[str, int] = {}
        self.clients: set[str] = set()
        threading.Thread(target=self.follow, daemon=True).start()

    def claims(self, token: str) -> dict[str, Any]:
        """What a token says. Raises `jwt.PyJWTError` for one that is not good, or not any more."""
        claims = self.verify(token, "at+jwt", ["sub", "aud"], audience=self.audience)
        subject = claims["sub"]
        if subject.removeprefix("client:") in self.clients or claims.get("ver", 0) < self.users.get(subject, 0):
            raise jwt.InvalidTokenError("the token was revoked")
        return claims

    def verify(self, token: str, typ: str, required: list[str], **expected: Any) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != typ:
            raise jwt.InvalidTokenError(f"its typ is not {typ}")
        key = self.key(header.get("kid", ""))
        required = ["iss", "iat", "exp", *required]
        # The key says which algorithm it is for; the token has no say in it.
        expected |= {"algorithms": [key.algorithm_name], "issuer": self.base, "leeway": 60}
        return jwt.decode(token, key, options={"require": required}, **expected)

    def key(self, kid: str) -> jwt.PyJWK:
        with self.lock:
            # A key is published two seconds before it signs: whoever asks again after less misses none.
            if kid not in self.keys and time.monotonic() - self.keys_at > 1.5:
                self.keys_at = time.monotonic()
                published = jwt.PyJWKSet.from_json(self.fetch("/.well-known/jwks.json"))
                self.keys = {key.key_id: key for key in published.keys if key.key_id}
            if kid not in self.keys:
                raise jwt.InvalidTokenError("no key of tokenbooth's")
            return self.keys[kid]

    def follow(self) -> None:
        """Learns every two seconds who was revoked. While that fails, what is known counts, and tokens end by themselves."""
        while True:
            try:
                statement = self.fetch(f"/oauth/revocations?since={self.since}")
                told = self.verify(statement, "revocations+jwt", ["users", "clients"])
                self.users |= told["users"]
                self.clients |= set(told["clients"])
                self.since = told["iat"]
            except (OSError, ValueError, jwt.PyJWTError) as error:
                logging.warning("nobody says who was revoked: %s", error)
            time.sleep(2)

    def fetch(self, path: str) -> str:
        with urllib.request.urlopen(self.base + path, timeout=5) as answer:
            return answer.read().decode()
