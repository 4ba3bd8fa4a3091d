select
    day,
    cents / orders as average_cents
from {{ ref('days') }}
