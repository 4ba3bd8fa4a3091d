{{ config(materialized='view') }}
select order_id, 100.0 * amount
    / (
        items
        - items  -- all of them
    ) as share
from {{ ref('orders') }}
