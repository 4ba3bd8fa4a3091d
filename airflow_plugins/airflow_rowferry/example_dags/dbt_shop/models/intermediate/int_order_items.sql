with items as (

    select
        order_id,
        count(line_number) as line_count,
        sum(quantity) as item_count,
        sum(line_cents) as items_cents
    from {{ ref('stg_postgres__order_items') }}
    where deleted_at is null
    group by order_id

),

orders as (

    select
        orders.order_sk,
        orders.order_id,
        orders.total_cents,
        cast(coalesce(items.line_count, 0) as bigint) as line_count,
        cast(coalesce(items.item_count, 0) as bigint) as item_count,
        cast(coalesce(items.items_cents, 0) as bigint) as items_cents
    from {{ ref('stg_postgres__orders') }} as orders
    left join items on items.order_id = orders.order_id

)

select
    order_sk,
    order_id,
    total_cents,
    line_count,
    item_count,
    items_cents,
    -- NULL for an order without items
    cast(round({{ safe_divide('cast(items_cents as numeric(38, 4))', 'item_count') }}) as bigint) as avg_item_cents,
    {{ dbt_updated_at() }} as _dbt_updated_at
from orders
