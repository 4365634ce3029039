"""Everything a usage report may hold; what is not here cannot be in one."""

from __future__ import annotations

from common.dictionary import DataPoint, Field

VERSION = "1"

ENVELOPE = (
    Field(
        name="auditHead",
        type="string",
        example="b54f14c1f0ff4b7c6d2ff4e03ab1f1e8d2a52b0c4ee76f0cb1c2f84c1b9b3a10",
        purpose="Where the audit chain of this installation stood, as a digest.",
    ),
    Field(
        name="detail",
        type="string",
        example="totals",
        purpose="Which records there are: totals, or instances as well.",
    ),
    Field(
        name="files",
        type="array",
        example="[]",
        purpose="Name, SHA-256, size in bytes and number of records of each file.",
    ),
    Field(
        name="period",
        type="object",
        example='{"firstDay":"2026-11-22","lastDay":"2026-11-22"}',
        purpose="The first and the last UTC day reported; null without records.",
    ),
    Field(
        name="previousReportSha256",
        type="string",
        example="7c6d2ff4e03ab1f1e8d2a52b0c4ee76f0cb1c2f84c1b9b3a10b54f14c1f0ff4b",
        purpose="The digest of the report before this one; null in the first.",
    ),
    Field(
        name="reportId",
        type="uuid",
        example="2214e480-6f0e-4b0e-9b44-0d9a4c8a5c11",
        purpose="Random, one per report: a repeated report is counted once.",
    ),
    Field(
        name="schemaVersion",
        type="string",
        example=VERSION,
        purpose="The version of this form.",
    ),
    Field(
        name="sequence",
        type="integer",
        example="12",
        purpose="Counts the reports of this installation, so that none goes missing.",
    ),
    Field(
        name="subscriptionId",
        type="string",
        example="SBX-00198432",
        purpose="The subscription of the license; the only name that is sent.",
    ),
)

DAY = Field(
    name="day",
    type="day",
    example="2026-11-22",
    purpose="A calendar day in UTC.",
)

PRODUCT_USAGE = DataPoint(
    name="product_usage",
    label="Product Usage",
    trigger="Once a day, or when somebody selects Send Usage to F5",
    purpose="To report commercial usage for your entitlement and FCP.",
    fields=(
        Field(
            name="count",
            type="integer",
            example="48",
            purpose="How much of it was in use on that day.",
        ),
        DAY,
        Field(
            name="feature",
            type="string",
            example="NGINX_INSTANCES",
            purpose="Which entitlement is counted.",
        ),
        Field(
            name="revises",
            type="uuid",
            example="91c07f3a-52f4-4b5d-8a57-3c2f1e7d9b20",
            purpose="The report that said another number before; else left out.",
        ),
    ),
    since="0.2.0",
)
INSTANCE_USAGE = DataPoint(
    name="instance_usage",
    label="Product Usage, instances",
    trigger="With Product Usage, only when NMS_USAGE_DETAIL is instances",
    purpose="To see the instances behind the totals. No host name, no address.",
    fields=(
        DAY,
        Field(
            name="hours",
            type="integer",
            example="24",
            purpose="In how many hours of that day it was in use.",
        ),
        Field(
            name="instance",
            type="string",
            example="5a3b9c1e0d2f4a6b8c7d9e0f1a2b3c4d",
            purpose="The random number the instance made for itself.",
        ),
        Field(
            name="waf",
            type="boolean",
            example="true",
            purpose="Whether F5 WAF for NGINX was active.",
        ),
    ),
    since="0.2.0",
)

POINTS = (PRODUCT_USAGE, INSTANCE_USAGE)
