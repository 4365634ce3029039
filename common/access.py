"""Who asks, from where, and the decorators by which a view states who may use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from common.roles import RANK, Role

View = Callable[..., HttpResponseBase]
PublicView = TypeVar("PublicView", bound=View)


def may(user: Any, role: str) -> bool:
    """Return whether ``user`` is signed in, active and at least ``role``."""
    return bool(
        user.is_authenticated
        and user.is_active
        and RANK.get(user.role, 0) >= RANK[Role(role)]
    )


def needs(role: str) -> Callable[[View], View]:
    """Let only users of at least ``role`` reach a page; others get 403 or sign in.

    The page is made in the user's time zone.
    An htmx request of somebody who is not signed in gets ``HX-Redirect``, never a
    sign-in page inside a card.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(
            request: HttpRequest, *args: Any, **kwargs: Any
        ) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return sign_in_first(request)
            if not may(request.user, role):
                raise PermissionDenied
            with timezone.override(_zone(request.user)):
                return view(request, *args, **kwargs)

        guarded.access = role  # type: ignore[attr-defined]
        return guarded

    return decorate


def _zone(user: Any) -> ZoneInfo:
    """Return the zone pages show beside UTC; UTC when the host does not know it."""
    try:
        return ZoneInfo(user.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def sign_in_first(request: HttpRequest) -> HttpResponse:
    """Send somebody to the sign-in page, and back here afterwards.

    A browser that still has a session cookie reads there that its session ended.
    """
    query = {}
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    if request.headers.get("HX-Request") and page.path:
        query["next"] = page.path + (f"?{page.query}" if page.query else "")
    elif request.method in ("GET", "HEAD"):
        query["next"] = request.get_full_path()
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        query["why"] = "ended"
    address = f"{resolve_url(settings.LOGIN_URL)}?{urlencode(query, safe='/')}"
    if request.headers.get("HX-Request"):
        return HttpResponseClientRedirect(address)
    return HttpResponseRedirect(address)


def public(view: PublicView) -> PublicView:
    """Mark a view that anybody may reach without signing in."""
    view.access = "public"  # type: ignore[attr-defined]
    return view


administrator_required = needs(Role.ADMINISTRATOR)
operator_required = needs(Role.OPERATOR)
sign_in_required = needs(Role.VIEWER)


@lru_cache
def _networks(names: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(name, strict=False) for name in names]


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Return whether an IP address lies in one of the networks, written as CIDR.

    Raises:
        ValueError: It is no address.
    """
    return any(ip_address(address) in one for one in _networks(tuple(networks)))


def _is_trusted(address: str) -> bool:
    return is_within(address, settings.NMS_TRUSTED_PROXIES)


def client_address(request: HttpRequest) -> str:
    """Return the IP address of who asks; empty when it is not known.

    ``X-Forwarded-For`` counts only as far as proxies of NMS_TRUSTED_PROXIES wrote it:
    read from its end, the first address that is none of them is the client.
    """
    address = str(request.META.get("REMOTE_ADDR", ""))
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    try:
        while _is_trusted(address) and hops:
            address = str(ip_address(hops.pop().strip()))
    except ValueError:  # something that is no address: trust goes no further
        pass
    return address
