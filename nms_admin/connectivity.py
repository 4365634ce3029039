"""Settings > Connectivity: what must be open, and whether it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseStopPolling

from common import setup
from common.access import client_address, may, operator_required, sign_in_required
from common.http import HtmxRequest
from common.models import Via
from common.roles import Role
from egress import checks, destinations, firewall, gate, tasks
from egress.destinations import Destination
from egress.models import Attempt, CheckRun
from egress.probes import NAMES
from nms_admin import health_hosts

PILLS = {
    "passed": ("ok", "Reachable"),
    "warning": ("warn", "Reachable, with a warning"),
    "running": ("info", "Checking"),
}
FAILED_AT = {  # the step -> what that means for the address
    "DNS": "Not reached",
    "TCP": "Not reached",
    "Proxy": "Not reached",
    "TLS": "Reached, TLS failed",
    "HTTP": "Reached, wrong answer",
}
NO_ANSWER = ("tls_timeout", "tls_cut", "http_timeout", "http_cut")
ENDED = ("", "Not run")
WAITING = ("info", "Waiting")
GOING = ("waiting", "running")
LATE = timedelta(seconds=2)
LATELY = 200


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show the last checks, what must be open, rules for it, and what deliveries met."""
    kind = request.GET.get("firewall", "")
    kind = kind if kind in firewall.KINDS else next(iter(firewall.KINDS))
    now = timezone.now()
    context = results_context(request, now) | in_force()
    context |= {
        "ranges": destinations.vendor_ranges(),
        "hosts": destinations.vendor_hosts(),
        "kinds": [(key, firewall.label(key)) for key in firewall.KINDS],
        "kind": kind,
        "kind_label": firewall.label(kind),
        "rules": firewall.rules(kind),
        "dpm": settings.NMS_DPM_BIND,
        "public_url": settings.NMS_PUBLIC_URL,
        "collector": settings.NMS_COLLECTOR_URL,
        "deliveries": _deliveries(now),
    }
    return render(request, "connectivity/page.html", context)


@operator_required
@require_POST
def run(request: HtmxRequest) -> HttpResponse:
    """Store that the checks are wanted and wake a worker; nothing is contacted here."""
    now, finished = timezone.now(), setup.finished_at()
    if setup.operation_mode() == "disconnected" and "anyway" not in request.POST:
        messages.error(
            request, "Checks are off in disconnected mode. Nothing was contacted."
        )
    else:
        asked = checks.ask(
            by=request.user.get_username(),
            via=Via.SETTINGS if finished else Via.WIZARD,
            address=client_address(request),
            now=now,
        )
        tasks.nudge(asked.pk)
    if request.htmx:
        context = results_context(request, now)
        return render(request, "connectivity/_results.html", context)
    return _back()


@sign_in_required
@require_safe
def results(request: HtmxRequest) -> HttpResponse:
    """Show how far the checks are; the last answer ends the polling (286)."""
    if not request.htmx:
        return _back()
    context = results_context(request, timezone.now())
    found = context["run"]
    going = found is not None and found["going"]
    if going and request.GET.get("seen") == found["key"]:
        return HttpResponse(status=204)
    status = 200 if going else HttpResponseStopPolling.status_code
    return render(request, "connectivity/_results.html", context, status=status)


def results_context(request: HtmxRequest, now: datetime) -> dict[str, Any]:
    """Return what ``connectivity/_results.html`` asks, also inside the set-up."""
    found = checks.newest()
    return {
        "run": _run(found, now) if found else None,
        "failing_since": _outdated(found, now),
        "may_run": may(request.user, Role.OPERATOR),
        "in_setup": setup.finished_at() is None,
        "live_hosts": destinations.vendor_hosts() if settings.SANDBOX else (),
    }


def _outdated(found: CheckRun | None, now: datetime) -> datetime | None:
    """Return since when deliveries fail, when that is later than what was found."""
    if found is None or found.finished_at is None:
        return None
    connected = setup.operation_mode() == "connected"
    since = health_hosts.failing_since(now, connected=connected)
    return since if since and since > found.finished_at else None


def in_force() -> dict[str, str]:
    """Return the proxy and the certificates in force, without a password."""
    return {
        "proxy": destinations.masked(settings.NMS_PROXY_URL),
        "ca_bundle": settings.NMS_CA_BUNDLE,
    }


def _back() -> HttpResponse:
    if setup.finished_at() is None:
        return redirect("setup-step", number=3)
    return redirect("ui-connectivity")


def _run(found: CheckRun, now: datetime) -> dict[str, Any]:
    """Return a run for the page; ``key`` names what is shown, for polling."""
    state = checks.state(found, now)
    targets = [_target(one, state) for one in found.results]
    count = sum(len(one["steps"]) for one in found.results)
    failed = [one for one in targets if one["verdict"] == "failed"]
    wrong = [step for one in found.results for step in one["steps"] if step["code"]]
    late = state == "waiting" and now - found.asked_at >= LATE
    return {
        "row": found,
        "state": state,
        "going": state in GOING,
        "late": late,
        "key": f"{found.pk}-{state}-{late:d}-{count}",
        "targets": targets,
        "failed": len(failed),
        "wrong": list({step["happened"]: step for step in wrong}.values()),
        "range": _range(found),
        "text": checks.text(found),
    }


def _target(result: dict[str, Any], state: str) -> dict[str, Any]:
    """Return one target with all five steps, those to come as well."""
    verdict = checks.verdict(result)
    steps = list(result["steps"])
    to_come = NAMES[len(steps) :] if verdict == "running" else ()
    steps += [{"name": n, "state": "not_run", "found": "Not run"} for n in to_come]
    if to_come and state == "running":
        steps[-len(to_come)] |= {"state": "running", "found": "Running"}
    broken = next((step for step in steps if step["state"] == "failed"), None)
    if broken:
        silent = broken["code"] in NO_ANSWER
        pill = ("bad", "Reached, no answer" if silent else FAILED_AT[broken["name"]])
    elif to_come and state != "running":
        pill = WAITING if state == "waiting" else ENDED
    else:
        pill = PILLS[verdict]
    return {**result, "steps": steps, "verdict": verdict, "pill": pill}


def _range(found: CheckRun) -> str:
    """Return whether the vendor's addresses lie in the published range.

    Empty while it is not known: in sandbox mode, through a proxy, without DNS.
    """
    names = [
        step
        for one in found.results
        if one["label"].partition(":")[0] in destinations.LIVE_HOSTS
        for step in one["steps"][:1]
        if step["state"] in ("passed", "warning")
    ]
    if not names or not found.way.startswith("direct"):
        return ""
    return "out" if any(step["code"] for step in names) else "in"


def _deliveries(now: datetime) -> list[dict[str, Any]]:
    """Return, per destination, its gate, what runs, and the last try that ended.

    ``because`` is the delivery whose failure closed the gate when it is another one.
    """
    last: dict[str, Attempt] = {}
    for tried in Attempt.objects.exclude(outcome="").order_by("-started_at")[:LATELY]:
        last.setdefault(destinations.label_of(tried.destination), tried)
    running = {destinations.label_of(x.destination): x for x in gate.under_way(now)}
    return [
        {
            "destination": one,
            "gate": (closed := gate.state(one.host)),
            "because": _because(one) if closed else "",
            "pause": gate.paused(one.name),
            "running": running.get(one.label),
            "last": last.get(one.label),
        }
        for one in destinations.configured()
    ]


def _because(destination: Destination) -> str:
    failure = gate.last_failure(destination.host)
    label = destinations.label_of(failure.destination) if failure else ""
    return "" if label == destination.label else label
