"""The addresses of set-up, sign-in, users and profile."""

from __future__ import annotations

from django.urls import URLPattern, path

from nms_admin import profile, sign_in, users, wizard

_USERS = "ui/settings/users"
urlpatterns: list[URLPattern] = [
    path("setup/", wizard.start, name="setup"),
    path("setup/<int:number>", wizard.step, name="setup-step"),
    path("login", sign_in.sign_in, name="login"),
    path("logout", sign_in.sign_out, name="logout"),
    path("welcome/<str:token>", users.welcome, name="welcome"),
    path(_USERS, users.users, name="ui-users"),
    path(f"{_USERS}/add", users.add, name="ui-user-add"),
    path(f"{_USERS}/<int:pk>", users.user, name="ui-user"),
    path(f"{_USERS}/<int:pk>/role", users.role, name="user-role"),
    path(f"{_USERS}/<int:pk>/deactivate", users.deactivate, name="user-deactivate"),
    path(f"{_USERS}/<int:pk>/activate", users.activate, name="user-activate"),
    path(f"{_USERS}/<int:pk>/link", users.link, name="user-link"),
    path(f"{_USERS}/<int:pk>/end-sessions", users.end_sessions, name="user-sessions"),
    path(f"{_USERS}/<int:pk>/unlock", users.unlock, name="user-unlock"),
    path("ui/profile", profile.profile, name="profile"),
    path("ui/profile/password", profile.password, name="profile-password"),
    path("ui/profile/time-zone", profile.time_zone, name="profile-time-zone"),
    path("ui/profile/end-sessions", profile.end_sessions, name="profile-sessions"),
    path("ui/theme", profile.theme, name="theme"),
]
