"""A service with one protected route: `python service.py BASE PORT`, where BASE is tokenbooth's address."""

import json
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import make_server

import jwt

from verifier import RevocationsUnknown, Verifier


def protected(verifier: Verifier, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """WSGI middleware: `app` is called for valid tokens only, with what they say in `environ["token"]`."""

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        try:
            environ["token"] = verifier.claims(token if scheme.lower() == "bearer" else "")
        except (RevocationsUnknown, OSError) as error:
            # Not the token's fault: a client must not throw it away.
            logging.warning("not verified: %s", error)
            start_response("503 Service Unavailable", [("Retry-After", "5")])
            return [b""]
        except jwt.PyJWTError as error:
            logging.info("rejected: %s", error)
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Bearer error="invalid_token"')])
            return [b""]
        return app(environ, start_response)

    return middleware


def who_am_i(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"sub": environ["token"]["sub"]}).encode()]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    logging.basicConfig(level=logging.INFO)
    make_server("127.0.0.1", int(sys.argv[2]), protected(Verifier(sys.argv[1]).start(), who_am_i)).serve_forever()
