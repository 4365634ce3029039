# Why a license that waited for keys could not be verified.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("licensing", "0002_license_confirmed_at"),
    ]

    operations = [
        migrations.AddField(
            model_name="license",
            name="check_error",
            field=models.CharField(blank=True, default="", max_length=300),
            preserve_default=False,
        ),
    ]
