"""Service accounts' tokens: made and read with one key of the cluster (RFC 7519, ES256)."""

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

from .users import account_name

Object = dict[str, Any]

ISSUER = "https://kubernetes.default.svc"
LEGACY_ISSUER = "kubernetes/serviceaccount"
ALGORITHM = "ES256"
MIN_SECONDS, DEFAULT_SECONDS, MAX_SECONDS = 600, 3600, 1 << 32
SECRET_TYPE = "kubernetes.io/service-account-token"  # a type's name, no secret
_LEGACY = "kubernetes.io/serviceaccount/"


class InvalidToken(Exception):
    """No token of ours, or no longer one. The text says why, as Kubernetes does, if it can be told; it never holds the token."""


@dataclass(frozen=True)
class Bound:
    """What a token ends with beside its account: a Pod, Secret or Node. `key` is its claim's name."""

    key: str
    name: str
    uid: str


@dataclass(frozen=True)
class Claims:
    """What a token says. `bound` come from the token itself; legacy ones carry the Secret that holds them."""

    namespace: str
    account: str
    account_uid: str
    audiences: tuple[str, ...]
    identifier: str = ""
    expires: int | None = None
    bound: tuple[Bound, ...] = ()
    legacy_secret: str = ""


class Keys:
    """The key that signs, and the tokens made with it."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        public = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._id = base64.urlsafe_b64encode(sha256(public).digest()).decode().rstrip("=")

    @classmethod
    def generate(cls) -> Keys:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, pem: bytes) -> Keys:
        """Raises `ValueError` for what is no such key."""
        try:
            private = serialization.load_pem_private_key(pem, None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
            raise ValueError("not a P-256 key")
        return cls(private)

    def pem(self) -> bytes:
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
        """A token and when it ends (seconds since 1970)."""
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
        """What stands in a Secret of the type for tokens: it ends with the Secret."""
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
        """What a token says, if it is ours, has not ended and is meant for one of the audiences. Raises `InvalidToken`."""
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            required = ["exp", "sub", "iss"] if issuer == ISSUER else ["sub", "iss"]
            found = jwt.decode(
                token,
                self._private.public_key(),
                algorithms=[ALGORITHM],
                issuer=[ISSUER, LEGACY_ISSUER],
                audience=list(audiences) if issuer == ISSUER else None,
                # All of them are ours: one that is not valid yet was made before somebody set the clock back.
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
            raise InvalidToken("it does not say whose it is") from error

    def public(self) -> Object:
        """As a JSON Web Key Set, for those who check tokens themselves."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        return {"keys": [{"use": "sig", "kid": self._id, "alg": ALGORITHM, **key}]}

    def _encode(self, claims: Object) -> str:
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self._id})


def wrong_audience(meant: Sequence[str], wanted: Sequence[str]) -> str:
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
