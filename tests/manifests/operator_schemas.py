"""Prometheus Operator's resources, as far as they are used here, and nothing beyond.

No package of the lock holds their schemas, so these are ours, after the CRDs of operator 0.80:
a field that is not below is an error, and its addition here a thing to look up there.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["OPERATOR_MODELS"]

Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Duration = Annotated[
    str, Field(pattern=r"^((\d+)w)?((\d+)d)?((\d+)h)?((\d+)m)?((\d+)s)?$", min_length=2)
]
DnsName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Strict):
    name: DnsName
    namespace: DnsName | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resource(Strict):
    api_version: str
    kind: str
    metadata: Metadata


class Rule(Strict):
    record: str | None = None
    alert: str | None = None
    expr: str
    for_: Duration | None = Field(default=None, alias="for")
    labels: dict[Label, str] = {}
    annotations: dict[Label, str] = {}


class Group(Strict):
    name: Annotated[str, Field(min_length=1)]
    interval: Duration | None = None
    rules: list[Rule]


class Groups(Strict):
    groups: list[Group]


class PrometheusRule(Resource):
    spec: Groups


class SecretKey(Strict):
    name: DnsName
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$")]


class Authorization(Strict):
    type: str
    credentials: SecretKey


class HttpConfig(Strict):
    authorization: Authorization
    follow_redirects: bool | None = None


class Webhook(Strict):
    url: Annotated[str, Field(pattern=r"^https?://.+$")]
    send_resolved: bool | None = None
    max_alerts: Annotated[int, Field(ge=0)] | None = None
    http_config: HttpConfig | None = None


class Receiver(Strict):
    name: Annotated[str, Field(min_length=1)]
    webhook_configs: list[Webhook] = []


class Matcher(Strict):
    name: Label
    match_type: Literal["!=", "=", "=~", "!~"]
    value: str


class Route(Strict):
    receiver: str
    group_by: list[Label] = []
    matchers: list[Matcher] = []
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None


class AlertmanagerSpec(Strict):
    route: Route
    receivers: list[Receiver]


class AlertmanagerConfig(Resource):
    spec: AlertmanagerSpec


class Selector(Strict):
    match_labels: dict[str, str]


class Relabeling(Strict):
    action: Literal["replace"]
    target_label: Label
    replacement: str


class Endpoint(Strict):
    path: Annotated[str, Field(pattern="^/")]
    interval: Duration
    honor_labels: bool | None = None
    relabelings: list[Relabeling] = []


class PodEndpoint(Endpoint):
    port_number: Annotated[int, Field(ge=1, le=65535)]


class ServiceEndpoint(Endpoint):
    port: str


class PodMonitorSpec(Strict):
    selector: Selector
    pod_metrics_endpoints: list[PodEndpoint]


class PodMonitor(Resource):
    spec: PodMonitorSpec


class ServiceMonitorSpec(Strict):
    selector: Selector
    endpoints: list[ServiceEndpoint]


class ServiceMonitor(Resource):
    spec: ServiceMonitorSpec


OPERATOR_MODELS: dict[tuple[Any, Any], type[Resource]] = {
    ("monitoring.coreos.com/v1", "PrometheusRule"): PrometheusRule,
    ("monitoring.coreos.com/v1", "PodMonitor"): PodMonitor,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): ServiceMonitor,
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"): AlertmanagerConfig,
}
