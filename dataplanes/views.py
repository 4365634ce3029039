"""Data planes: those that registered, and the tokens agents come with."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from common.access import (
    administrator_required,
    client_address,
    may,
    sign_in_required,
)
from common.http import HtmxRequest
from common.roles import Role
from dataplanes import address, listing, services
from dataplanes.errors import ChangeRefused
from dataplanes.listing import Filters
from dataplanes.models import AgentToken, DataPlane
from dataplanes.services import By


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show the data planes that match, and how an agent is registered."""
    now = timezone.now()
    filters = _filters(request)
    found = listing.page(filters, now=now)
    context = {
        "filters": filters,
        "rows": found.rows,
        "newer_url": _link(filters, before=found.newer) if found.newer else "",
        "older_url": _link(filters, after=found.older) if found.older else "",
        "may_change": may(request.user, Role.ADMINISTRATOR),
    }
    if request.htmx.target == "data-planes":
        return render(request, "dataplanes/_rows_answer.html", context)
    context |= {
        "any": bool(found.rows) or listing.any_ever(),
        "statuses": [(key, label) for key, (label, _) in listing.STATUSES.items()],
        "tokens": listing.tokens(),
        "refused": listing.refused_today(now),
        "configuration": address.configuration(),
        "reach": address.public(),
    }
    return render(request, "dataplanes/page.html", context)


@administrator_required
@require_http_methods(["GET", "HEAD", "POST"])
def issue(request: HtmxRequest) -> HttpResponse:
    """Ask for a name; issue the token and show it once, with the configuration."""
    name, error = request.POST.get("name", ""), ""
    if request.method == "POST":
        try:
            issued, token = services.issue_token(name, _by(request))
        except ChangeRefused as refusal:
            error = str(refusal)
        else:
            context = {
                "issued": issued,
                "token": token,
                "configuration": address.configuration(token),
                "reach": address.public(),
            }
            return render(request, "dataplanes/token.html", context)
    context = {"name": name, "error": error, "most": services.NAME_LENGTH}
    return render(
        request, "dataplanes/issue.html", context, status=422 if error else 200
    )


@administrator_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HtmxRequest, pk: int) -> HttpResponse:
    """Ask, and end a token."""
    token = get_object_or_404(AgentToken, pk=pk)
    if request.method != "POST":
        return render(request, "dataplanes/revoke.html", {"token": token})
    try:
        services.revoke_token(pk, _by(request))
    except ChangeRefused as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, f"The token {token.name} is revoked.")
    return redirect("ui-data-planes")


@administrator_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HtmxRequest, pk: int) -> HttpResponse:
    """Ask, and take a data plane off the list."""
    found = get_object_or_404(DataPlane, pk=pk)
    if request.method != "POST":
        return render(request, "dataplanes/remove.html", {"data_plane": found})
    try:
        services.remove(pk, _by(request))
    except ChangeRefused as refusal:
        messages.warning(request, str(refusal))
    else:
        name = found.name or found.hostname or found.system_uid[:8]
        messages.success(request, f"{name} is removed. Its history is kept.")
    return redirect("ui-data-planes")


def _filters(request: HtmxRequest) -> Filters:
    asked = {
        name: request.GET.get(key, "")[:200].replace("\0", "")
        for name, key in (
            ("search", "q"),
            ("status", "status"),
            ("after", "after"),
            ("before", "before"),
        )
    }
    if asked["status"] not in listing.STATUSES:
        asked["status"] = ""
    return Filters(**asked)


def _link(filters: Filters, **cursor: str) -> str:
    query = {"q": filters.search, "status": filters.status, **cursor}
    given = {name: value for name, value in query.items() if value}
    return f"{reverse('ui-data-planes')}?{urlencode(given)}"


def _by(request: HtmxRequest) -> By:
    return By(request.user.get_username(), timezone.now(), client_address(request))
