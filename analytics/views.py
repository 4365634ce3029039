"""Settings > Web analytics, the opt-out page, the privacy page, the tracker's question."""

from __future__ import annotations

import json
import time
from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)

from analytics import catalog, services
from analytics.errors import AnsweredMeanwhile, ChoiceRefused
from common import setup
from common.access import (
    administrator_required,
    client_address,
    public,
    sign_in_required,
)
from common.http import HtmxRequest
from common.models import Via

REPORT_BYTES = 8192
REPORTS_A_MINUTE = 60
PAGE_VIAS = (Via.NOTICE, Via.USER_MENU, Via.SETTINGS)


@sign_in_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the choice, what this browser sends, and every field that may leave."""
    now = timezone.now()
    return render(
        request,
        "analytics/page.html",
        {
            "verdict": services.is_collecting(request),
            "why": services.why_for_person(request),
            "sample": json.dumps(catalog.sample(catalog.CLICK), indent=2),
            "administrators": ", ".join(services.administrators()),
            "changes": services.changes(),
            "blocked": services.blocked_count(now - timedelta(days=14)),
        },
    )


@administrator_required
@require_POST
def choose(request: HtmxRequest) -> HttpResponse:
    """Store the administrator's choice for all users and show the page again."""
    answer = request.POST.getlist("enabled")
    if answer not in (["0"], ["1"]):
        return HttpResponseBadRequest("Send enabled=0 or enabled=1, once.")
    return _store(request, collect=answer == ["1"])


@administrator_required
@require_http_methods(["GET", "HEAD", "POST"])
def opt_out(request: HtmxRequest) -> HttpResponse:
    """Show one button that turns interaction data off for all users; obey it."""
    if request.method == "POST":
        return _store(request, collect=False)
    context = {**_layout(), "back": _next(request, "/ui/")}
    return render(request, "analytics/opt_out.html", context)


@administrator_required
@require_POST
def acknowledge(request: HtmxRequest) -> HttpResponse:
    """Hide the notice of this version; the choice stays as it is."""
    services.acknowledge(by=request.user.get_username(), now=timezone.now())
    return _answer(request)


@public
@require_GET
def permission(request: HttpRequest) -> HttpResponse:
    """Answer the tracker: 204 it may send now, 410 never again from this tab."""
    return HttpResponse(status=204 if services.is_collecting(request) else 410)


@public
@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """Show anybody what applies to them and why; who decided only to those signed in."""
    context = {
        "verdict": services.verdict_for_person(request),
        "objected": services.has_objected(request),
        **_layout(shell=request.user.is_authenticated),
    }
    return render(request, "analytics/privacy.html", context)


@sign_in_required
@require_POST
def not_me(request: HtmxRequest) -> HttpResponse:
    """Leave this user's browsers out whatever the choice for all users is, or no longer."""
    answer = request.POST.getlist("leave_out")
    if answer not in (["0"], ["1"]):
        return HttpResponseBadRequest("Send leave_out=0 or leave_out=1, once.")
    leave_out = answer == ["1"]
    services.set_objection(request.user.pk, leave_out, now=timezone.now())
    messages.success(
        request,
        "Your browsers are left out."
        if leave_out
        else "The choice for all users applies to you again.",
    )
    return _answer(request, "privacy")


@public
@csrf_exempt
@require_POST
def csp_report(request: HttpRequest) -> HttpResponse:
    """Count what a browser blocked because of our policy; keep nothing else of it."""
    body = request.read(REPORT_BYTES + 1)
    if len(body) <= REPORT_BYTES and _reports.may_count():
        services.count_blocked(_directive(body), now=timezone.now())
    return HttpResponse(status=204)


class _Reports:
    """How many reports this process still counts in the running minute."""

    def __init__(self) -> None:
        self.minute, self.left = 0, 0

    def may_count(self) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self.minute:
            self.minute, self.left = minute, REPORTS_A_MINUTE
        self.left -= 1
        return self.left >= 0


_reports = _Reports()


def _directive(body: bytes) -> str:
    try:
        report = json.loads(body)["csp-report"]
        named = str(report.get("effective-directive") or report["violated-directive"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "other"
    known = ("script-src", "style-src", "img-src", "font-src", "connect-src")
    return next((name for name in known if named.startswith(name)), "other")


def _store(request: HtmxRequest, *, collect: bool) -> HttpResponse:
    seen = request.GET.get("seen", "")
    given = request.GET.get("via", "")
    via = Via(given) if given in PAGE_VIAS else Via.SETTINGS
    try:
        services.set_choice(
            collect=collect,
            by=request.user.get_username(),
            via=via if setup.finished_at() else Via.WIZARD,
            now=timezone.now(),
            address=client_address(request),
            expected=int(seen) if seen.isdecimal() and len(seen) < 10 else None,
        )
    except ChoiceRefused as refusal:
        return _refused(request, refusal, collect)
    state = "on" if collect else "off"
    messages.success(request, f"Interaction data is now {state} for all users.")
    return _answer(request)


def _refused(
    request: HtmxRequest, refusal: ChoiceRefused, collect: bool
) -> HttpResponse:
    """Say on top of the page what was decided meanwhile, or why nothing can be."""
    context = {
        **_layout(),
        "refusal": refusal,
        "meanwhile": isinstance(refusal, AnsweredMeanwhile),
        "wanted": "1" if collect else "0",
        "back": _next(request),
    }
    name = "analytics/_refused.html" if request.htmx else "analytics/refused.html"
    response = render(request, name, context, status=409)
    if request.htmx:
        response["HX-Retarget"] = "#main > :first-child"
        response["HX-Reswap"] = "afterbegin"
    return response


def _answer(request: HtmxRequest, default: str = "ui-web-analytics") -> HttpResponse:
    """Reload the page with htmx, else go back to where the form stands."""
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return redirect(_next(request, default))


def _next(request: HttpRequest, default: str = "ui-web-analytics") -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()})
    return target if safe and target.startswith("/") else resolve_url(default)


def _layout(*, shell: bool = True) -> dict[str, str]:
    """Return the frame of a page: the console, or the narrow one of the set-up."""
    inside = shell and setup.finished_at() is not None
    return {"layout": "base.html" if inside else "solo.html"}
