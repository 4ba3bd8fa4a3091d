with orders as (
    select order_id, user_id, lower(status) as state, amount from {{ ref('orders') }}
)

select order_id, user_id, state as status, amount from orders
