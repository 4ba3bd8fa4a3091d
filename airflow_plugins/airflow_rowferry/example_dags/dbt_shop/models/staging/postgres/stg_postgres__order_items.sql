with order_items as (

    select
        cast(order_id as varchar) as order_id,
        line_number,
        cast(product_id as varchar) as product_id,
        quantity,
        {{ cents('unit_price') }} as unit_price_cents,
        {{ known_timestamp('created_at') }} as created_at,
        {{ known_timestamp('updated_at') }} as updated_at,
        deleted_at,
        _extracted_at
    from {{ latest(source('postgres', 'order_items'), ['order_id', 'line_number']) }}
    where _deleted_at is null

)

select
    {{ generate_surrogate_key(['order_id', 'line_number']) }} as order_item_sk,
    order_id,
    line_number,
    product_id,
    quantity,
    unit_price_cents,
    quantity * unit_price_cents as line_cents,
    created_at,
    updated_at,
    deleted_at,
    _extracted_at,
    {{ dbt_updated_at() }} as _dbt_updated_at
from order_items
