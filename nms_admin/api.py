"""The documented REST API: one frame, one shape of errors, Basic accounts only."""

from __future__ import annotations

from ninja import NinjaAPI

from analytics.api import router as analytics_router
from nms_admin.basic import Basic

api = NinjaAPI(
    title="NGINX Management Suite admin",
    docs_url=None,
    openapi_url=None,
    auth=Basic(),
)
api.add_router("", analytics_router)
