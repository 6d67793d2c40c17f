"""`python -m unittest test_verifier`: without a service, and without waiting in real time."""

import json
import threading
import time
import unittest
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from verifier import RevocationsUnknown, Verifier

BASE = "https://auth.example"


class Tokenbooth:
    """Keys, tokens and the feed of a tokenbooth, and the clock of the verifier that asks it."""

    def __init__(self) -> None:
        self.keys = {"one": Ed25519PrivateKey.generate()}
        self.now, self.iat = 0.0, int(time.time())
        self.users: dict[str, int] = {}
        self.clients: list[str] = []
        self.sessions: list[str] = []
        self.away = False
        self.asked: list[str] = []
        self.gate: threading.Event | None = None
        self.replayed = ""

    def fetch(self, path: str) -> str:
        self.asked.append(path)
        if self.away:
            raise OSError("away")
        if path.startswith("/oauth/revocations"):
            return self.replayed or self.statement()
        if self.gate:
            self.gate.wait(10)
        public = {kid: key.public_key() for kid, key in self.keys.items()}
        algorithm = jwt.algorithms.OKPAlgorithm()
        jwks = [{**json.loads(algorithm.to_jwk(key)), "kid": kid, "alg": "EdDSA"} for kid, key in public.items()]
        return json.dumps({"keys": jwks})

    def sign(self, typ: str, kid: str = "one", **claims: Any) -> str:
        body = {"iss": BASE, "iat": self.iat, "exp": self.iat + 1800} | claims
        return jwt.encode(body, self.keys[kid], "EdDSA", headers={"typ": typ, "kid": kid})

    def statement(self) -> str:
        return self.sign(
            "revocations+jwt", users=self.users, clients=self.clients, sessions=self.sessions, exp=self.iat + 120
        )

    def token(self, sub: str = "ada", kid: str = "one", **claims: Any) -> str:
        return self.sign("at+jwt", kid, **({"sub": sub, "aud": "tokenbooth", "ver": 0} | claims))

    def passes(self, seconds: float) -> None:
        """Tokens are dated by the machine's clock, which does not move; only the verifier's own moves with this."""
        self.now += seconds

    def verifier(self) -> Verifier:
        return Verifier(BASE, fetch=self.fetch, clock=lambda: self.now)


class VerifierTest(unittest.TestCase):
    def setUp(self) -> None:
        self.booth = Tokenbooth()
        self.verifier = self.booth.verifier()
        self.verifier.read_revocations()
        self.booth.iat += 1

    def told(self, **revoked: Any) -> None:
        for name, value in revoked.items():
            setattr(self.booth, name, value)
        self.verifier.read_revocations()
        self.booth.iat += 1

    def assert_revoked(self, token: str) -> None:
        with self.assertRaisesRegex(jwt.InvalidTokenError, "revoked"):
            self.verifier.claims(token)

    def test_a_revoked_user_client_or_session_is_rejected(self) -> None:
        token, other = self.booth.token(sid="s1"), self.booth.token(sid="s2")
        service = self.booth.token("client:jobs")
        for good in [token, other, service]:
            self.verifier.claims(good)
        self.told(sessions=["s1"])
        self.assert_revoked(token)
        self.verifier.claims(other)
        self.told(clients=["jobs"])
        self.assert_revoked(service)
        self.told(users={"ada": 1})
        self.assert_revoked(other)
        self.verifier.claims(self.booth.token(ver=1))
        # A statement repeats only what is new, and nothing is forgotten before its time.
        self.told(users={}, clients=[], sessions=[])
        for ended in [token, other, service]:
            self.assert_revoked(ended)

    def test_a_feed_without_sessions_is_read(self) -> None:
        del self.booth.sessions
        self.booth.statement = lambda: self.booth.sign("revocations+jwt", users={"ada": 1}, clients=[])  # type: ignore[method-assign]
        self.verifier.read_revocations()
        self.assert_revoked(self.booth.token())

    def test_nobody_is_accepted_while_it_is_unknown_who_was_revoked(self) -> None:
        token = self.booth.token()
        with self.assertRaises(RevocationsUnknown):
            fresh = self.booth.verifier()
            fresh.claims(token)
        self.booth.away = True
        self.booth.passes(59)
        with self.assertRaises(OSError):
            self.verifier.read_revocations()
        self.verifier.claims(token)
        self.booth.passes(2)
        with self.assertRaises(RevocationsUnknown):
            self.verifier.claims(token)
        # A token that is not valid anyway is said to be so.
        with self.assertRaises(jwt.PyJWTError):
            self.verifier.claims("x")
        self.booth.away = False
        self.told()
        self.verifier.claims(token)

    def test_a_statement_that_is_replayed_keeps_nothing_fresh(self) -> None:
        token, self.booth.replayed = self.booth.token(), self.booth.statement()
        self.verifier.read_revocations()
        for _ in range(40):
            self.booth.passes(2)
            self.verifier.read_revocations()
        with self.assertRaises(RevocationsUnknown):
            self.verifier.claims(token)

    def test_what_cannot_end_a_token_any_more_is_forgotten(self) -> None:
        self.told(users={f"user-{n}": 1 for n in range(1000)}, sessions=[f"session-{n}" for n in range(1000)])
        self.assertEqual(len(self.verifier.revoked), 2000)
        self.told(users={"late": 1}, sessions=[])
        self.booth.passes(1800)
        self.told(users={"later": 1})
        self.assertEqual(len(self.verifier.revoked), 2002)
        self.booth.passes(200)
        self.told(users={})
        self.assertEqual(set(self.verifier.revoked), {("users", "later")})

    def test_a_lower_number_does_not_bring_tokens_back(self) -> None:
        self.told(users={"ada": 3})
        self.told(users={"ada": 2})
        self.assert_revoked(self.booth.token(ver=2))

    def test_a_download_of_keys_delays_no_token_of_a_known_key(self) -> None:
        known = self.booth.token()
        self.verifier.claims(known)
        self.booth.keys["two"] = Ed25519PrivateKey.generate()
        self.booth.gate, new = threading.Event(), self.booth.token(kid="two")
        self.booth.passes(2)
        results: list[dict[str, Any]] = []
        waiting = [threading.Thread(target=lambda: results.append(self.verifier.claims(new))) for _ in range(5)]
        before = len(self.booth.asked)
        for thread in waiting:
            thread.start()
        for _ in range(200):
            if len(self.booth.asked) > before:
                break
            time.sleep(0.01)
        # Would wait for the gate if it needed the lock.
        self.verifier.claims(known)
        self.assertEqual(results, [])
        self.booth.gate.set()
        for thread in waiting:
            thread.join(10)
        self.assertEqual((len(results), len(self.booth.asked) - before), (5, 1))

    def test_unknown_keys_cause_few_downloads(self) -> None:
        self.booth.keys["other"] = Ed25519PrivateKey.generate()
        token = self.booth.token(kid="other")
        del self.booth.keys["other"]
        before = len(self.booth.asked)
        self.booth.passes(2)
        for _ in range(50):
            with self.assertRaises(jwt.InvalidTokenError):
                self.verifier.claims(token)
        self.assertEqual(len(self.booth.asked) - before, 1)

    def test_a_statement_is_no_token_and_a_token_no_statement(self) -> None:
        with self.assertRaises(jwt.InvalidTokenError):
            self.verifier.claims(self.booth.statement())
        self.booth.replayed = self.booth.token()
        with self.assertRaises(jwt.InvalidTokenError):
            self.verifier.read_revocations()


if __name__ == "__main__":
    unittest.main()
