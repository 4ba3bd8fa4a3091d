select order_id, cast(amount as varchar) as amount, status from {{ ref('orders') }}
