"""``/api/platform/v1/k8s-usage``: what Ingress Controllers and Gateways report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import Max
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from ninja.errors import HttpError

from common.access import client_address
from common.api import Refused, api_needs
from common.roles import Role
from usage import intake, reading
from usage.errors import MessageRefused
from usage.models import Cluster, ClusterDay

router = Router()
BODY = {
    "requestBody": {
        "content": {
            "application/json": {
                "example": {
                    "metadata": {"displayName": "shop", "uid": "<cluster uid>"},
                    "node_count": 4,
                    "pod_details": {
                        "current_pod_counts": {
                            "pod_count": 15,
                            "waf_count": 5,
                            "dos_count": 0,
                        }
                    },
                }
            }
        }
    }
}


@router.put("/k8s-usage/{uid}", openapi_extra=BODY)
@api_needs(Role.OPERATOR)
def report_cluster(request: HttpRequest, uid: str) -> dict[str, Any]:
    """Take what a cluster says of itself; the highest of each day is counted."""
    now = timezone.now()
    try:
        found = intake.store_cluster(reading.cluster(request.body, uid), now)
    except MessageRefused as refusal:
        intake.count_refusal(refusal, client_address(request), now)
        raise Refused(
            refusal.status,
            refusal.sentence,
            f"check: {refusal.code}",
            f"expected: {refusal.expected}",
            f"found: {refusal.found}",
        ) from None
    return _documents([found], now)[0]


@router.get("/k8s-usage")
@api_needs(Role.VIEWER)
def read_clusters(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """Return every cluster that ever reported, and the most of this month (UTC)."""
    found = list(Cluster.objects.order_by("uid"))
    return {"count": len(found), "items": _documents(found, timezone.now())}


@router.get("/k8s-usage/{uid}")
@api_needs(Role.VIEWER)
def read_cluster(request: HttpRequest, uid: str) -> dict[str, Any]:  # noqa: ARG001
    """Return one cluster, and the most it reported in this month (UTC)."""
    found = Cluster.objects.filter(uid=uid).first()
    if found is None:
        raise HttpError(404, "No cluster with this uid has reported.")
    return _documents([found], timezone.now())[0]


def _documents(clusters: list[Cluster], now: datetime) -> list[dict[str, Any]]:
    month = now.astimezone(UTC).date().replace(day=1)
    rows = ClusterDay.objects.filter(cluster__in=clusters, day__gte=month)
    most = rows.values("cluster").annotate(
        max_pods=Max("pods"),
        max_waf=Max("waf"),
        max_dos=Max("dos"),
        max_nodes=Max("nodes"),
    )
    by_cluster: dict[int, Mapping[str, Any]] = {row["cluster"]: row for row in most}
    return [_document(one, by_cluster.get(one.pk, {}), month) for one in clusters]


def _document(cluster: Cluster, most: Mapping[str, Any], month: date) -> dict[str, Any]:
    return {
        "metadata": {
            "displayName": cluster.display_name,
            "uid": cluster.uid,
            "createTime": _time(cluster.created_at),
            "updateTime": _time(cluster.updated_at),
            "monthReturned": f"{month:%B}",
        },
        "node_count": cluster.nodes,
        "max_node_count": most.get("max_nodes", 0),
        "pod_details": {
            "current_pod_counts": {
                "pod_count": cluster.pods,
                "waf_count": cluster.waf,
                "dos_count": cluster.dos,
            },
            "max_pod_counts": {
                "max_pod_count": most.get("max_pods", 0),
                "max_waf_count": most.get("max_waf", 0),
                "max_dos_count": most.get("max_dos", 0),
            },
        },
    }


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
