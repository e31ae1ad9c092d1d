"""The page's addresses: what is shown, and the forms by which a person steers."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, FastAPI, Form, Query
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kontinual.trigger.auth import Scope
from kontinual.trigger.contracts import NotNow, RunState
from kontinual.trigger.guard import identity_of
from kontinual.trigger.page.acts import ACTS, Act
from kontinual.trigger.page.figures import PERIODS, FigureSource
from kontinual.trigger.page.loops import loops
from kontinual.trigger.page.session import LIFETIME, Sessions, Visit
from kontinual.trigger.page.story import Notes, Teller
from kontinual.trigger.page.web import FRESH, STATIC, PageRoute, html, render, static_file
from kontinual.trigger.service import TriggerService

__all__ = ["add_page"]

Number = Annotated[int | None, Query(ge=1, lt=2**31)]
Target = Annotated[str, Query(max_length=63, pattern=r"^[a-z0-9-]*$")]


@dataclass(frozen=True)
class _Look:
    """What of a loop is looked at: a period of its quality, and where its timeline begins."""

    period: str
    before: int | None


def _look(period: str = "month", before: Number = None) -> _Look:
    if period not in PERIODS:
        raise HTTPException(404, f"there are figures of a {', '.join(PERIODS)}, not {period!r}")
    return _Look(period, before)


Looked = Annotated[_Look, Depends(_look)]


def add_page(
    app: FastAPI,
    service: TriggerService,
    sessions: Sessions,
    *,
    figures: FigureSource,
    notes: Notes,
) -> None:
    """Put the page beside the API.

    Args:
        app: of the trigger; its guard has found out who asks by header or certificate.
        service: what is shown and steered.
        sessions: who has signed in.
        figures: what Prometheus says.
        notes: what the steps of a run wrote down.
    """
    page = _Page(service, sessions, figures, notes)
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    here = f"/loops/{service.loop.name}"
    router.add_api_route("/", page.index)
    router.add_api_route("/sign-in", page.sign_in_form)
    router.add_api_route("/sign-in", page.sign_in, methods=["POST"])
    router.add_api_route("/sign-out", page.sign_out, methods=["POST"])
    router.add_api_route("/static/{digest}/{name}", page.static)
    router.add_api_route(here, page.loop)
    router.add_api_route(f"{here}/live", page.live)
    router.add_api_route(f"{here}/{{name}}", page.confirm)
    router.add_api_route(f"{here}/{{name}}", page.act, methods=["POST"])
    app.include_router(router)


class _Page:
    def __init__(
        self, service: TriggerService, sessions: Sessions, figures: FigureSource, notes: Notes
    ) -> None:
        self._service = service
        self._sessions = sessions
        self._figures = figures
        self._teller = Teller(service, notes)
        self._here = f"/loops/{service.loop.name}"

    # What is shown

    def index(self, request: Request) -> Response:
        """All loops of the ledger; the loop itself where it is the only one."""
        visit = self._reader(request)
        if visit is None:
            return _to("/sign-in")
        found = loops(self._service.ledger)
        if len(found) < 2:
            return _to(self._here)
        return self._shown(request, visit, "loops", loops=found)

    def loop(self, request: Request, look: Looked, done: str = "", of: Target = "") -> Response:
        """The loop's page; `done` tells what the person has just done."""
        visit = self._reader(request)
        if visit is None:
            return _to("/sign-in")
        part, tag = self._part(visit, look)
        told = ACTS[done].done.format(of=of) if done in ACTS else ""
        return self._shown(
            request,
            visit,
            "loop",
            description=self._service.loop.description,
            part=part,
            tag=tag,
            source=f"{self._here}/live?period={look.period}"
            + (f"&before={look.before}" if look.before else ""),
            told=told,
        )

    def live(self, request: Request, look: Looked) -> Response:
        """The part of the page that changes; 304 while it has not."""
        visit = self._reader(request)
        if visit is None:
            raise HTTPException(403, "sign in to go on reading")
        part, tag = self._part(visit, look)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return HTMLResponse(part, headers={**FRESH, "ETag": tag})

    def static(self, name: str, digest: str) -> Response:
        """The style and the script; their address changes with their content."""
        if name not in STATIC or static_file(name)[1] != digest:
            raise HTTPException(404, f"there is no {name} of this digest")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(static_file(name)[0], media_type=STATIC[name], headers=headers)

    # Who is there

    def sign_in_form(self, request: Request) -> Response:
        return self._shown(request, self._visit(request), "sign_in", problem="")

    def sign_in(
        self,
        request: Request,
        token: Annotated[str, Form()] = "",
        form: Annotated[str, Form()] = "",
    ) -> Response:
        """Open a session for who has a token; the ledger will know them by its name."""
        visit = self._visit(request)
        self._check_form(request, visit, form)
        known = self._sessions.sign_in(token.strip())
        if known is None:
            problem = "Nobody here has this token. It stands in the service's credentials."
            return self._shown(request, visit, "sign_in", status=401, problem=problem)
        return self._remember(request, known, _to(self._here))

    def sign_out(self, request: Request, form: Annotated[str, Form()] = "") -> Response:
        self._check_form(request, self._visit(request), form)
        answer = _to("/")
        answer.delete_cookie(self._cookie_name(request), secure=request.url.scheme == "https")
        return answer

    # What is done

    def confirm(self, request: Request, name: str, of: Target = "") -> Response:
        """Ask before anything is done."""
        visit, act = self._visit(request), self._act(name, of)
        if not visit.identity.may(Scope.WRITE):
            if not visit.identity.known:
                return _to("/sign-in")
            raise HTTPException(403, f"{visit.identity.name} may read, but not steer")
        return self._asked(request, visit, act, of)

    async def act(self, request: Request, name: str, of: Target = "") -> Response:
        """Do it, and show the loop as it is then."""
        given = await request.form()
        return await run_in_threadpool(self._do, request, self._act(name, of), of, given)

    def _do(self, request: Request, act: Act, of: str, form: FormData) -> Response:
        visit = self._visit(request)
        given = {name: value for name, value in form.items() if isinstance(value, str)}
        self._check_form(request, visit, given.get("form", ""))
        if not visit.identity.may(Scope.WRITE):
            raise HTTPException(403, f"{visit.identity.name} may not steer this loop")
        given["reason"] = given.get("reason", "").strip()
        try:
            act.do(self._service, of, given, visit.identity.name)
        except ValidationError as exc:
            problem = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in exc.errors())
            reason = given["reason"]
            return self._asked(request, visit, act, of, 422, problem=problem, reason=reason)
        return _to(f"{self._here}?done={act.name}&of={quote(of)}")

    def _act(self, name: str, of: str) -> Act:
        """The act, if it is one and can be done now to what is named."""
        act = ACTS.get(name)
        if act is None or bool(of) != (act.of is not None):
            raise HTTPException(404, f"there is no {name!r} of {of or 'nothing'}")
        ledger = self._service.ledger
        if act.of == "trigger" and not (of.isdecimal() and ledger.trigger(int(of)).is_open):
            raise NotNow(f"trigger {of} is decided already, and once is final")
        if act.of == "run" and ledger.run(of).state is RunState.ENDED:
            raise NotNow(f"run {of} has ended already")
        return act

    # What they share

    def _part(self, visit: Visit, look: _Look) -> tuple[str, str]:
        """The part that changes, and its tag."""
        story = self._teller.tell(self._figures(look.period), before=look.before)
        part = render(
            "live",
            story=story,
            look=look,
            periods=list(PERIODS),
            here=self._here,
            may_steer=visit.identity.may(Scope.WRITE),
        )
        return part, f'"{hashlib.sha256(part.encode()).hexdigest()[:32]}"'

    def _asked(
        self,
        request: Request,
        visit: Visit,
        act: Act,
        of: str,
        status: int = 200,
        *,
        problem: str = "",
        reason: str = "",
    ) -> Response:
        about = self._service.ledger.trigger(int(of)) if act.of == "trigger" else None
        values = {"act": act, "of": of, "about": about, "problem": problem, "reason": reason}
        return self._shown(request, visit, "confirm", status=status, **values)

    def _shown(
        self, request: Request, visit: Visit, template: str, *, status: int = 200, **values: Any
    ) -> Response:
        answer = html(
            template,
            status=status,
            loop_name=self._service.loop.name,
            here=self._here,
            visit=visit,
            form=self._sessions.form_token(visit),
            **values,
        )
        return self._remember(request, visit, answer)

    def _reader(self, request: Request) -> Visit | None:
        """Who looks, if they may."""
        visit = self._visit(request)
        if visit.identity.may(Scope.READ):
            return visit
        if visit.identity.known:
            raise HTTPException(403, f"{visit.identity.name} has not the scope `read`")
        return None

    def _visit(self, request: Request) -> Visit:
        cookie = request.cookies.get(self._cookie_name(request))
        return self._sessions.visit(cookie, identity_of(request))

    def _remember(self, request: Request, visit: Visit, answer: Response) -> Response:
        if request.cookies.get(self._cookie_name(request)) != visit.cookie:
            answer.set_cookie(
                self._cookie_name(request),
                visit.cookie,
                max_age=int(LIFETIME.total_seconds()),
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
        return answer

    def _cookie_name(self, request: Request) -> str:
        """Of the loop: on a laptop several share a host, and cookies know no ports."""
        prefix = "__Host-" if request.url.scheme == "https" else ""
        return f"{prefix}kontinual-{self._service.loop.name}"

    def _check_form(self, request: Request, visit: Visit, token: str) -> None:
        """Refuse a form that another site made."""
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
        if foreign or not self._sessions.is_own_form(visit, token):
            raise HTTPException(
                403,
                "This form is not from this page, or too old. Nothing was done: go back, reload.",
            )


def _to(path: str) -> Response:
    return RedirectResponse(path, status_code=303, headers=FRESH)
