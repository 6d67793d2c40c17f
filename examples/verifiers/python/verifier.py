"""Verifies tokenbooth's tokens in a service of its own: no secret is shared, nobody is asked for each request, and who was
revoked is rejected within seconds. Needs `pip install 'PyJWT[crypto]==2.15.1'`; `service.py` beside it shows how it is used.

A verification waits for the network only if the token names a key that is not known yet. Revocations are read in the
background every two seconds. If they cannot be read for `max_staleness` seconds, `claims` raises `RevocationsUnknown`: a
verifier that does not know who was revoked accepts nobody.
"""

import logging
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import jwt

LEEWAY = 60
"""Seconds by which the clocks of two machines may differ."""
POLL_SECONDS = 2
KEY_COOLDOWN = 1.5
"""A key is published two seconds before it signs: whoever asks again after less misses none."""


class RevocationsUnknown(Exception):
    """The revocations have not been read for too long. The token may be valid: answer 503, not 401."""


class Verifier:
    """`token_lifetime` is at least `token.access_ttl` in seconds; an entry is forgotten once all its tokens have expired.

    `fetch` and `clock` are for tests.
    """

    def __init__(
        self,
        base: str,
        audience: str = "tokenbooth",
        *,
        max_staleness: float = 60,
        token_lifetime: float = 1800,
        fetch: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base, self.audience, self.clock = base, audience, clock
        self.max_staleness, self.token_lifetime = max_staleness, token_lifetime
        self.fetch = fetch or self.download
        # Replaced as a whole and never changed, so that they are read without a lock.
        self.keys: dict[str, jwt.PyJWK] = {}
        self.keys_at = float("-inf")
        # Taken only by those who need a key that is not known.
        self.fetching = threading.Lock()
        # `(kind, id)` -> (number that `ver` must reach, when it was told). Written by one thread.
        self.revoked: dict[tuple[str, str], tuple[int, float]] = {}
        self.since, self.fresh_at = 0, float("-inf")

    def start(self) -> "Verifier":
        """Reads the revocations from now on."""
        threading.Thread(target=self.follow, daemon=True).start()
        return self

    def claims(self, token: str) -> dict[str, Any]:
        """Returns what a valid token says. Raises `jwt.PyJWTError` for any other, and `RevocationsUnknown`."""
        claims = self.verify(token, "at+jwt", ["sub", "aud"], audience=self.audience)
        if self.clock() - self.fresh_at > self.max_staleness:
            raise RevocationsUnknown("nobody says who was revoked")
        if self.is_revoked(claims):
            raise jwt.InvalidTokenError("the token was revoked")
        return claims

    def is_revoked(self, claims: dict[str, Any]) -> bool:
        subject = claims["sub"]
        if subject.startswith("client:"):
            return ("clients", subject.removeprefix("client:")) in self.revoked
        least, _ = self.revoked.get(("users", subject), (0, 0.0))
        return claims.get("ver", 0) < least or ("sessions", claims.get("sid", "")) in self.revoked

    def verify(self, token: str, typ: str, required: list[str], **expected: Any) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != typ:
            raise jwt.InvalidTokenError(f"its typ is not {typ}")
        key = self.key(header.get("kid", ""))
        required = ["iss", "iat", "exp", *required]
        # The key says which algorithm it is for; the token has no say in it.
        expected |= {"algorithms": [key.algorithm_name], "issuer": self.base, "leeway": LEEWAY}
        return jwt.decode(token, key, options={"require": required}, **expected)

    def key(self, kid: str) -> jwt.PyJWK:
        if kid not in self.keys:
            # Tokens of known keys do not wait here, and of those that do only the first one downloads.
            with self.fetching:
                if kid not in self.keys and self.clock() - self.keys_at > KEY_COOLDOWN:
                    self.keys_at = self.clock()
                    published = jwt.PyJWKSet.from_json(self.fetch("/.well-known/jwks.json"))
                    self.keys = {key.key_id: key for key in published.keys if key.key_id}
        key = self.keys.get(kid)
        if key is None:
            raise jwt.InvalidTokenError("no key of tokenbooth's")
        return key

    def follow(self) -> None:
        while True:
            try:
                self.read_revocations()
            # Whatever it was: without this thread no token would be accepted any more.
            except Exception as error:  # noqa: BLE001
                logging.warning("nobody says who was revoked: %s", error)
            time.sleep(POLL_SECONDS)

    def read_revocations(self) -> None:
        """Reads one statement. Only one that is newer than the last counts: an old one may be replayed."""
        asked_at = self.clock()
        statement = self.fetch(f"/oauth/revocations?since={self.since}")
        told = self.verify(statement, "revocations+jwt", ["users", "clients"])
        if told["iat"] <= self.since:
            return
        entries = [("users", id, ver) for id, ver in told["users"].items()]
        entries += [("clients", id, 0) for id in told["clients"]]
        entries += [("sessions", id, 0) for id in told.get("sessions", [])]
        horizon = asked_at - self.token_lifetime - 2 * LEEWAY
        revoked = {key: entry for key, entry in self.revoked.items() if entry[1] > horizon}
        for kind, id, ver in entries:
            revoked[kind, id] = (max(ver, revoked.get((kind, id), (0, 0.0))[0]), asked_at)
        self.revoked = revoked
        self.since, self.fresh_at = told["iat"], asked_at

    def download(self, path: str) -> str:
        with urllib.request.urlopen(self.base + path, timeout=5) as answer:
            return answer.read().decode()
