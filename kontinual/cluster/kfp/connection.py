"""The way to Kubeflow Pipelines: its own client, with limits of time and errors that explain."""

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from kontinual.errors import ClusterError
from kontinual.masking import masked
from kontinual.settings import Settings

__all__ = ["Connection"]

TIMEOUT_SECONDS = (3.0, 8.0)  # to connect; for an answer
PAGE_SIZE = 100
# Where the kubelet puts a token for the audience pipelines.kubeflow.org.
TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
_ADVICE = {
    401: "the token is missing or not for the audience pipelines.kubeflow.org; "
    "set KONTINUAL_KFP_TOKEN, or project one into the pod",
    403: "the account may not do this; bind it to the ClusterRole kubeflow-pipelines-edit in the "
    "profile's namespace, and name that by KONTINUAL_KFP_NAMESPACE",
}


class Connection:
    """kfp.Client, opened when it is first needed."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str | None = None,
        token: str = "",
        token_file: Path = TOKEN_FILE,
        ui: str | None = None,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> None:
        """Set up a connection; nothing is sent.

        Args:
            url: of the API, such as http://ml-pipeline.kubeflow:8888.
            namespace: of the profile, where Kubeflow serves several users.
            token: bearer token; the one in `token_file` when empty and there is that file.
            token_file: kept fresh by the kubelet.
            ui: base URL of the web page, for links; `url` when left out.
            timeout_seconds: to connect, and for an answer.
        """
        self.url = url.rstrip("/")
        self.namespace = namespace
        self._token, self._token_file = token, token_file
        self._ui = (ui or url).rstrip("/")
        self._timeout = timeout_seconds
        self._until: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Connection":
        """As the settings say."""
        return cls(
            settings.kfp,
            namespace=settings.kfp_namespace,
            token=settings.kfp_token.get_secret_value(),
            ui=settings.kfp_ui,
        )

    def link(self, page: str) -> str:
        """Address of a page, such as `runs/details/ID`, for a person."""
        return masked(f"{self._ui}/#/{page}")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let the calls of this block take so long together. One thread makes them.

        The last one may outlast it by the time that it takes to connect.
        """
        self._until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until = None

    def call(self, what: str, service: str, method: str, **arguments: Any) -> Any:
        """One call of the API.

        Args:
            what: what is asked for, for messages: "listing runs".
            service: group of calls, such as `runs`.
            method: one of them, such as `run_service_get_run`.
            arguments: of the call; None is left out.

        Raises:
            ClusterError: no answer in time (status 0), or a refusal.
        """
        with self._explained(what):
            call: Callable[..., Any] = getattr(getattr(self._client, service), method)
            given = {key: value for key, value in arguments.items() if value is not None}
            return call(**given, _request_timeout=self._limits())

    def named(
        self, what: str, service: str, method: str, field: str, name: str, **arguments: Any
    ) -> list[Any]:
        """Every listed thing of exactly this display name, over all pages.

        Args:
            what: for messages.
            service: group of calls.
            method: the one that lists.
            field: of its answer, with the things.
            name: their display name.
            arguments: of the call.
        """
        predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        arguments["filter"] = json.dumps({"predicates": [predicate]})
        found: list[Any] = []
        page: str | None = None
        while True:
            answer = self.call(
                what, service, method, page_token=page, page_size=PAGE_SIZE, **arguments
            )
            found += getattr(answer, field) or []
            page = answer.next_page_token
            if not page:
                # Older servers take no notice of a filter that they do not know.
                return [thing for thing in found if thing.display_name == name]

    def _limits(self) -> tuple[float, float]:
        """Seconds to connect, and for an answer."""
        if self._until is None:
            return self._timeout
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the calls before it took all of the time")
        connect, answer = self._timeout
        return min(connect, left), min(answer, left)

    @cached_property
    def _client(self) -> Any:
        import kfp
        from kfp.client import ServiceAccountTokenVolumeCredentials

        credentials = None
        if not self._token and self._token_file.is_file():
            credentials = ServiceAccountTokenVolumeCredentials(str(self._token_file))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that it is not for version 1
            client = kfp.Client(
                host=self.url,
                # Without one, the client asks the server for its mode, and waits for ever.
                namespace=self.namespace or "-",
                existing_token=self._token or None,
                credentials=credentials,
                ssl_ca_cert=os.environ.get("SSL_CERT_FILE"),
            )
        # urllib3 would try three times more, and each try may take its whole time.
        client.runs.api_client.rest_client.pool_manager.connection_pool_kw["retries"] = 0
        return client

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        import urllib3.exceptions
        from kfp_server_api.exceptions import ApiException

        try:
            yield
        except ApiException as exc:
            status = exc.status or 0
            told = _told(exc)
            advice = f"; {_ADVICE[status]}" if status in _ADVICE else ""
            raise ClusterError(
                f"{what}: Kubeflow Pipelines at {self.url} answered {status}: {told}{advice}",
                status=status,
            ) from exc
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            reason = getattr(exc, "reason", exc)
            raise ClusterError(
                f"{what}: Kubeflow Pipelines at {self.url} gave no answer: {reason}; "
                "is KONTINUAL_KFP right, and the server well?"
            ) from exc


def _told(exc: Any) -> str:
    """The server's own words, without headers and stack."""
    try:
        body = json.loads(exc.body)
        return str(body.get("message") or body.get("error_message") or body.get("error"))
    except (TypeError, ValueError, AttributeError):
        return str(exc.body or exc.reason)[:300]
