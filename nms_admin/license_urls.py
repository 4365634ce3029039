"""The addresses of Settings > License."""

from __future__ import annotations

from django.urls import URLPattern, path

from nms_admin import as_of, license_page, notices, usage_page

PAGE = "ui/settings/license"
REPORTS = f"{PAGE}/reports"
urlpatterns: list[URLPattern] = [
    path(PAGE, license_page.page, name="ui-license"),
    path(f"{PAGE}/add", license_page.add, name="ui-license-add"),
    path(f"{PAGE}/history", license_page.history, name="ui-license-history"),
    path(f"{PAGE}/as-of", as_of.page, name="ui-license-as-of"),
    path(f"{PAGE}/notices/hide", notices.hide, name="license-notice-hide"),
    path(f"{PAGE}/activation", license_page.activation, name="license-activation"),
    path(
        f"{PAGE}/activation/again",
        license_page.ask_again,
        name="license-ask-again",
    ),
    path(
        f"{PAGE}/continuous-connection",
        license_page.connect,
        name="license-connection",
    ),
    path(
        f"{PAGE}/continuous-connection/off",
        license_page.turn_off,
        name="ui-license-turn-off",
    ),
    path(f"{PAGE}/send-usage", usage_page.send, name="usage-send"),
    path(f"{PAGE}/send-usage/outcome", usage_page.outcome, name="usage-outcome"),
    path(f"{PAGE}/courier.py", usage_page.courier, name="usage-courier"),
    path(f"{PAGE}/report", usage_page.prepare, name="usage-prepare"),
    path(f"{PAGE}/acknowledgement", usage_page.acknowledge, name="usage-acknowledge"),
    path(REPORTS, usage_page.all_reports, name="ui-usage-reports"),
    path(f"{REPORTS}/next", usage_page.preview, name="ui-usage-preview"),
    path(f"{REPORTS}/<uuid:number>", usage_page.one_report, name="ui-usage-report"),
    path(
        f"{REPORTS}/<uuid:number>/download",
        usage_page.download,
        name="usage-report-download",
    ),
    path(
        f"{REPORTS}/<uuid:number>/acknowledgement",
        usage_page.acknowledgement_file,
        name="usage-report-acknowledgement",
    ),
    path(f"{PAGE}/terminate", license_page.terminate, name="ui-license-terminate"),
]
