"""Let a template say that the tracker or the notice is in the page."""

from __future__ import annotations

from django import template
from django.template.context import RequestContext

register = template.Library()


@register.simple_tag(takes_context=True)
def rendered(context: RequestContext, what: str) -> str:
    """Note that ``tracker`` or ``notice`` is in this response; shows nothing."""
    request = context.get("request")
    if request is not None:
        seen: set[str] = getattr(request, "interaction_rendered", set())
        request.interaction_rendered = seen | {what}
    return ""
