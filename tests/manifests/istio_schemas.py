"""Istio's security resources, as far as they are used here, and nothing beyond."""

from typing import Annotated, Any, Literal

from pydantic import Field

from tests.manifests.operator_schemas import Resource, Selector, Strict

__all__ = ["ISTIO_MODELS"]


class Mtls(Strict):
    mode: Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]


class PeerSpec(Strict):
    selector: Selector
    mtls: Mtls


class PeerAuthentication(Resource):
    spec: PeerSpec


class Operation(Strict):
    methods: list[Literal["GET", "POST"]]
    paths: list[Annotated[str, Field(pattern="^/")]]
    ports: list[Annotated[str, Field(pattern=r"^\d+$")]]


class To(Strict):
    operation: Operation


class IstioRule(Strict):
    to: list[To]


class AuthorizationSpec(Strict):
    selector: Selector
    action: Literal["ALLOW", "DENY"]
    rules: Annotated[list[IstioRule], Field(min_length=1)]


class AuthorizationPolicy(Resource):
    spec: AuthorizationSpec


ISTIO_MODELS: dict[tuple[Any, Any], type[Resource]] = {
    ("security.istio.io/v1", "PeerAuthentication"): PeerAuthentication,
    ("security.istio.io/v1", "AuthorizationPolicy"): AuthorizationPolicy,
}
