"""Files of a report, each accepted or left out; existing reports have one at most."""

import io
import json
import zipfile

import django.db.models.deletion
from django.db import migrations, models


def list_files(apps, schema_editor):  # noqa: ARG001
    """Write down the file of each report whose bytes are still there."""
    Report = apps.get_model("usage", "Report")
    ReportFile = apps.get_model("usage", "ReportFile")
    for report in Report.objects.exclude(first_day=None).iterator(1):
        parts = report.parts.order_by("number").values_list("content", flat=True)
        archive = b"".join(bytes(part) for part in parts)
        if not archive:
            continue
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            listed = json.loads(opened.read("manifest.json"))["files"]
        ReportFile.objects.bulk_create(
            ReportFile(
                report=report,
                number=number,
                name=one["name"],
                sha256=one["sha256"],
                size=one["size"],
                first_day=report.first_day,
                last_day=report.last_day,
                record_count=one["records"],
                accepted=True if report.accepted_at else None,
            )
            for number, one in enumerate(listed, 1)
        )


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0002_carried"),
    ]

    operations = [
        migrations.AddField(
            model_name="report",
            name="left_out",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="report",
            name="successful",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="total",
            name="left_out",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="ReportFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=200)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField()),
                ("first_day", models.DateField()),
                ("last_day", models.DateField()),
                ("record_count", models.PositiveIntegerField()),
                ("accepted", models.BooleanField(null=True)),
                (
                    "report",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="usage.report",
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["report", "number"],
                        name="one_file_per_report_and_number",
                    )
                ],
            },
        ),
        migrations.RunPython(list_files, migrations.RunPython.noop, elidable=True),
    ]
