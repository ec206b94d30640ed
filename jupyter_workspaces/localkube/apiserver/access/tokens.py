"""Tokens of service accounts: issued and verified with one key of the cluster (RFC 7519, ES256)."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jupyter_workspaces.kube.types import Object

from .users import account_name

ISSUER = "https://kubernetes.default.svc"
LEGACY_ISSUER = "kubernetes/serviceaccount"
ALGORITHM = "ES256"
MIN_SECONDS, DEFAULT_SECONDS, MAX_SECONDS = 600, 3600, 1 << 32
SECRET_TYPE = "kubernetes.io/service-account-token"  # name of a type, no secret
_LEGACY = "kubernetes.io/serviceaccount/"


class InvalidToken(Exception):
    """The token is invalid, expired or not issued by this cluster.

    The message says why, as Kubernetes does, and never contains the token. It is empty if
    Kubernetes gives no reason.
    """


@dataclass(frozen=True)
class Bound:
    """An object that a token is bound to: it becomes invalid with the Pod, Secret or Node.

    Attributes:
        key: name of the claim, such as `pod`.
    """

    key: str
    name: str
    uid: str


@dataclass(frozen=True)
class Claims:
    """Claims of a token.

    Attributes:
        bound: objects that the token is bound to.
        legacy_secret: name of the Secret that holds the token, for tokens that do not expire.
    """

    namespace: str
    account: str
    account_uid: str
    audiences: tuple[str, ...]
    identifier: str = ""
    expires: int | None = None
    bound: tuple[Bound, ...] = ()
    legacy_secret: str = ""


class Keys:
    """The signing key, and the tokens that are signed with it."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        """Create it with a private key."""
        self._private = private
        public = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._id = base64.urlsafe_b64encode(sha256(public).digest()).decode().rstrip("=")

    @classmethod
    def generate(cls) -> Keys:
        """Create it with a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, pem: bytes) -> Keys:
        """Load the key from PEM.

        Raises:
            ValueError: if it is not a P-256 private key.
        """
        try:
            private = serialization.load_pem_private_key(pem, None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
            raise ValueError("not a P-256 key")
        return cls(private)

    def pem(self) -> bytes:
        """Return the private key in PEM."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def issue(
        self,
        namespace: str,
        account: str,
        uid: str,
        *,
        audiences: Sequence[str],
        seconds: int,
        bound: Sequence[Bound] = (),
    ) -> tuple[str, int]:
        """Return a new token and when it expires, in seconds since 1970."""
        now = int(time.time())
        about: Object = {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}}
        about |= {held.key: {"name": held.name, "uid": held.uid} for held in bound}
        claims = {
            "aud": list(audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": about,
            "nbf": now,
            "sub": account_name(namespace, account),
        }
        return self._encode(claims), now + seconds

    def issue_legacy(self, namespace: str, account: str, uid: str, secret: str) -> str:
        """Return a token for a Secret of the token type, valid as long as the Secret exists."""
        claims = {
            "iss": LEGACY_ISSUER,
            f"{_LEGACY}namespace": namespace,
            f"{_LEGACY}secret.name": secret,
            f"{_LEGACY}service-account.name": account,
            f"{_LEGACY}service-account.uid": uid,
            "sub": account_name(namespace, account),
        }
        return self._encode(claims)

    def read(self, token: str, audiences: Sequence[str]) -> Claims:
        """Verify a token for one of the audiences and return its claims.

        Raises:
            InvalidToken: if the token is not valid for any of them.
        """
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            required = ["exp", "sub", "iss"] if issuer == ISSUER else ["sub", "iss"]
            found = jwt.decode(
                token,
                self._private.public_key(),
                algorithms=[ALGORITHM],
                issuer=[ISSUER, LEGACY_ISSUER],
                audience=list(audiences) if issuer == ISSUER else None,
                # Only this cluster signs tokens. One that is not valid yet was issued before the
                # clock was set back.
                options={
                    "require": required,
                    "verify_aud": issuer == ISSUER,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            return _legacy(found) if issuer == LEGACY_ISSUER else _claims(found, audiences)
        except jwt.InvalidAudienceError as error:
            raise InvalidToken(
                wrong_audience(
                    _strings(jwt.decode(token, options={"verify_signature": False}).get("aud")),
                    audiences,
                )
            ) from error
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken("service account token has expired") from error
        except jwt.DecodeError as error:
            raise InvalidToken(
                str(error) if isinstance(error, jwt.InvalidSignatureError) else ""
            ) from error
        except jwt.PyJWTError as error:
            raise InvalidToken(str(error)) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidToken("the token lacks the claims of a service account") from error

    def public(self) -> Object:
        """Return the public key as a JSON Web Key Set."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        return {"keys": [{"use": "sig", "kid": self._id, "alg": ALGORITHM, **key}]}

    def _encode(self, claims: Object) -> str:
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self._id})


def wrong_audience(meant: Sequence[str], wanted: Sequence[str]) -> str:
    """Return Kubernetes' message for a token of other audiences."""
    lists = (
        "[" + " ".join(f'"{audience}"' for audience in found) + "]" for found in (meant, wanted)
    )
    return "token audiences {} is invalid for the target audiences {}".format(*lists)


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]


def _claims(found: Mapping[str, Any], audiences: Sequence[str]) -> Claims:
    about = found["kubernetes.io"]
    account = about["serviceaccount"]
    bound = tuple(
        Bound(key, about[key]["name"], about[key]["uid"])
        for key in ("pod", "secret", "node")
        if key in about
    )
    meant = tuple(audience for audience in audiences if audience in _strings(found["aud"]))
    return Claims(
        about["namespace"],
        account["name"],
        account["uid"],
        meant,
        found.get("jti", ""),
        found["exp"],
        bound,
    )


def _legacy(found: Mapping[str, Any]) -> Claims:
    return Claims(
        found[f"{_LEGACY}namespace"],
        found[f"{_LEGACY}service-account.name"],
        found[f"{_LEGACY}service-account.uid"],
        (ISSUER,),
        legacy_secret=found[f"{_LEGACY}secret.name"],
    )
