"""The addresses of the audit log."""

from __future__ import annotations

from django.urls import URLPattern, path

from nms_admin import audit_export, audit_page

PAGE = "ui/audit"
urlpatterns: list[URLPattern] = [
    path(PAGE, audit_page.page, name="ui-audit"),
    path(f"{PAGE}/check", audit_page.check, name="audit-check"),
    path(f"{PAGE}/export.csv", audit_export.export_csv, name="audit-export-csv"),
    path(f"{PAGE}/export.json", audit_export.export_json, name="audit-export-json"),
    path(f"{PAGE}/<int:number>", audit_page.record, name="ui-audit-record"),
]
