"""A small Django project with the libraries that keep events for a Celery worker.

It runs in the environment ``requirements/django.txt`` and imports nothing of ours.
"""
