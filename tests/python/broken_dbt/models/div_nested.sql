{{ config(materialized='ephemeral') }}
select order_id, amount, amount / nullif(order_id, 0) / (order_id - 1) as odd from {{ ref('orders') }}
