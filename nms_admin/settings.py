"""The one settings file. Operators set NMS_* variables; docs/configuration.md lists them."""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from kombu.transport import TRANSPORT_ALIASES

from nms_admin import logs, serving
from nms_admin.env import Reader, documented_proxy, kept_secret

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"][
    "version"
]
read = Reader()

# Mode and folders
NMS_F5_MODE = read.choice("F5_MODE", "sandbox", ("sandbox", "live"))
SANDBOX = NMS_F5_MODE == "sandbox"
NMS_DATA_DIR = Path(
    read.text("DATA_DIR", str(BASE_DIR / "var" / NMS_F5_MODE))
).absolute()
_running = serving.in_force(NMS_DATA_DIR, os.environ)
read.follow(_running)
NMS_SECRET_KEY = read.text("SECRET_KEY") or kept_secret(NMS_DATA_DIR / "secret.key")
SECRET_KEY, *SECRET_KEY_FALLBACKS = NMS_SECRET_KEY.split("\n")
NMS_SEAL_KEYS_FILE = Path(
    read.text("SEAL_KEYS_FILE", str(NMS_DATA_DIR / "seal.keys"))
).absolute()
SEAL_KEYS = kept_secret(NMS_SEAL_KEYS_FILE, Fernet.generate_key().decode()).split()

# Where this console stands
NMS_BIND = read.text("BIND", "127.0.0.1")
NMS_PORT = read.number("PORT", 8000, low=1, high=65535)
NMS_WEB_PROCESSES = read.number("WEB_PROCESSES", 1, low=1, high=8)
NMS_WORKERS = read.number("WORKERS", 1, low=1, high=8)
NMS_TLS_CERT = read.text("TLS_CERT")
NMS_TLS_KEY = read.text("TLS_KEY")
NMS_PUBLIC_URL = read.url(
    "PUBLIC_URL",
    f"http{'s' if NMS_TLS_CERT else ''}://127.0.0.1:{NMS_PORT}",
    plain_ok=True,
)
HTTPS = NMS_PUBLIC_URL.startswith("https://")
NMS_TRUSTED_PROXIES = read.names("TRUSTED_PROXIES")
NMS_ALLOWED_HOSTS = read.names("ALLOWED_HOSTS")
ALLOWED_HOSTS = [
    *NMS_ALLOWED_HOSTS,
    urlsplit(NMS_PUBLIC_URL).hostname or "",
    "127.0.0.1",
    "localhost",
    "[::1]",
]
CSRF_TRUSTED_ORIGINS = [NMS_PUBLIC_URL]
if NMS_TRUSTED_PROXIES and HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The vendor: addresses, keys, choices. In sandbox mode all stand on this host.
NMS_SANDBOX_PORT = read.number("SANDBOX_PORT", 8001, low=1, high=65535)
NMS_SANDBOX_COLLECTOR_PORT = read.number(
    "SANDBOX_COLLECTOR_PORT", 8002, low=1, high=65535
)
_VENDOR = f"http://localhost:{NMS_SANDBOX_PORT}" if SANDBOX else ""
NMS_F5_API_URL = read.url(
    "F5_API_URL",
    f"{_VENDOR or 'https://product.apis.f5.com'}/ee/v1",
    plain_ok=SANDBOX,
)
NMS_F5_SECURE_API_URL = read.url(
    "F5_SECURE_API_URL",
    f"{_VENDOR or 'https://product-s.apis.f5.com'}/ee",
    plain_ok=SANDBOX,
)
NMS_TELEMETRY_URL = read.url(
    "TELEMETRY_URL", f"{NMS_F5_API_URL}/telemetry", plain_ok=SANDBOX
)
NMS_ENTITLEMENTS_URL = read.url(
    "ENTITLEMENTS_URL",
    f"{_VENDOR}/ee/v1/entitlements" if SANDBOX else "",
    plain_ok=SANDBOX,
)
NMS_TERMINATE_URL = read.url(
    "TERMINATE_URL",
    f"{_VENDOR}/ee/v1/licenses/terminate" if SANDBOX else "",
    plain_ok=SANDBOX,
)
NMS_USAGE_CHANNEL = read.choice("USAGE_CHANNEL", "bulk", ("bulk", "batch"))
NMS_USAGE_BATCH_URL = read.url(
    "USAGE_BATCH_URL",
    f"{_VENDOR or 'https://product.connect.nginx.com'}/api/nginx-usage/batch",
    plain_ok=SANDBOX,
)
NMS_JWKS_URL = read.url("JWKS_URL", f"{NMS_F5_API_URL}/keys/jwks", plain_ok=SANDBOX)
NMS_JWKS_FILE = read.text(
    "JWKS_FILE", str(NMS_DATA_DIR / "sandbox" / "jwks.json") if SANDBOX else ""
)
NMS_JWT_ALGORITHMS = read.names("JWT_ALGORITHMS", "RS512")
NMS_F5_API_KEY = read.text("F5_API_KEY")
NMS_PROXY_URL = read.text("PROXY_URL") or documented_proxy(os.environ)
NMS_CA_BUNDLE = read.text("CA_BUNDLE")
NMS_OPERATION_MODE = read.choice("OPERATION_MODE", "", ("connected", "disconnected"))
NMS_API_VERSION = read.text("API_VERSION", "2.20.0")

# Data planes: where agents and NGINX report to this server, what goes on from here
NMS_DPM_BIND = read.text("DPM_BIND", "127.0.0.1:8443")
NMS_INTAKE_ALLOW = read.networks("INTAKE_ALLOW", "127.0.0.0/8,::1")
NMS_USAGE_DETAIL = read.choice("USAGE_DETAIL", "totals", ("totals", "instances"))

# What waits, how long it is kept
NMS_HOLD_WINDOW = read.duration("HOLD_WINDOW", "24h", most=timedelta(days=30))
NMS_RETENTION_DAYS = read.number("RETENTION_DAYS", 400, low=30, high=4000)

# Interaction data: from browsers to the collector
NMS_ANALYTICS_MODE = read.choice("ANALYTICS_MODE", "opt-out", ("opt-out", "opt-in"))
NMS_COLLECTOR_URL = read.url(
    "COLLECTOR_URL",
    f"http://localhost:{NMS_SANDBOX_COLLECTOR_PORT}" if SANDBOX else "",
    plain_ok=SANDBOX,
)
NMS_PRIVACY_NOTICE_URL = read.url(
    "PRIVACY_NOTICE_URL", "https://www.f5.com/company/policies/privacy-notice"
)
NMS_POLICY_FILE = read.text("POLICY_FILE")
_quiet = os.environ.get(serving.QUIET, _running.get(serving.QUIET, "0"))
DO_NOT_TRACK = _quiet not in ("", "0")

if not set(NMS_JWT_ALGORITHMS) <= {"RS512", "RS256", "ES256"}:
    raise ImproperlyConfigured("NMS_JWT_ALGORITHMS takes RS512, RS256 and ES256 only.")
if NMS_USAGE_CHANNEL == "batch" and not NMS_USAGE_BATCH_URL:
    raise ImproperlyConfigured("NMS_USAGE_CHANNEL is batch: set NMS_USAGE_BATCH_URL.")
if bool(NMS_TLS_CERT) != bool(NMS_TLS_KEY):
    raise ImproperlyConfigured("Set NMS_TLS_CERT and NMS_TLS_KEY together.")

# Django
DEBUG = False
ROOT_URLCONF = "nms_admin.urls"
WSGI_APPLICATION = "nms_admin.wsgi.application"
AUTH_USER_MODEL = "nms_admin.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "axes",
    "common",
    "audit",
    "egress",
    "licensing",
    "analytics",
    "dataplanes",
    "usage",
    "telemetry",
    "nms_admin",
]
MIDDLEWARE = [
    "nms_admin.middleware.request_id",
    "nms_admin.middleware.body_limit",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "nms_admin.sessions.keep_alive",
    "nms_admin.middleware.api_gateway",
    "nms_admin.first_run.set_up_first",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "analytics.middleware.interaction_data",
    "nms_admin.middleware.no_store",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "nms_admin.context_processors.shell",
                "analytics.context_processors.interaction_data",
            ],
            "builtins": ["common.templatetags.nms", "django.templatetags.static"],
        },
    }
]

if read.text("DATABASE_URL"):
    DATABASES = {
        "default": {
            **read.database("DATABASE_URL"),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(NMS_DATA_DIR / "nms-admin.sqlite3"),
            "CONN_MAX_AGE": None,
            "TEST": {"NAME": str(NMS_DATA_DIR / "test.sqlite3")},  # threads race on it
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;",
            },
        }
    }

# Static files: our own, and what `make assets` built from npm
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "nms_admin.static_files.ApiDocsFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "nms_admin.static_files.Storage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# Sign-in and sessions
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "ui-overview"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = ["nms_admin.hashers.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "nms_admin.passwords.Length"},
    {"NAME": "nms_admin.passwords.Resembling"},
    {"NAME": "nms_admin.passwords.Leaked"},
]
SESSION_ENGINE = "nms_admin.sessions"
SESSION_COOKIE_NAME = "__Host-nms-session" if HTTPS else "nms-session"
CSRF_COOKIE_NAME = "__Host-nms-csrf" if HTTPS else "nms-csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE = timedelta(minutes=30)
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_HANDLER = "nms_admin.lockout.Handler"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SILENCED_SYSTEM_CHECKS = ["axes.W002"]  # our pages say themselves who is locked

# Headers
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "style-src": ["'self'"],
        "script-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "report-uri": "/csp-report",
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
FILE_UPLOAD_MAX_MEMORY_SIZE = 128 * 1024

# Celery: the database is the truth, the broker only wakes workers up
TRANSPORT_ALIASES["djangodb"] = "nms_admin.broker:Transport"
NMS_BROKER_URL = read.text("BROKER_URL", "djangodb://")
CELERY_BROKER_URL = (
    "djangodb://localhost/" if NMS_BROKER_URL == "djangodb://" else NMS_BROKER_URL
)
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {"visibility_timeout": 600}
if NMS_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS["unacked_restore_throttle"] = 1
if NMS_BROKER_URL.startswith("djangodb"):
    CELERY_BROKER_TRANSPORT_OPTIONS["polling_interval"] = 0.2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "nms_admin.timetable:Scheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(NMS_DATA_DIR / "scheduler.state")

LOGGING = logs.config(read.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING")))
