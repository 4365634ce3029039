# When a client of the API went on with a license.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("licensing", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="license",
            name="confirmed_at",
            field=models.DateTimeField(null=True),
        ),
    ]
