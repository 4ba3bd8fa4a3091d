with orders as (

    select
        cast(id as varchar) as order_id,
        cast(user_id as varchar) as user_id,
        status,
        lower(trim(currency)) as currency,
        {{ cents('total_amount') }} as total_cents,
        note,
        payload,
        {{ known_timestamp('created_at') }} as created_at,
        {{ known_timestamp('updated_at') }} as updated_at,
        deleted_at,
        _extracted_at
    from {{ latest(source('postgres', 'orders')) }}
    where _deleted_at is null

)

select
    {{ generate_surrogate_key(['order_id']) }} as order_sk,
    order_id,
    user_id,
    status,
    currency,
    total_cents,
    note,
    payload,
    created_at,
    updated_at,
    deleted_at,
    _extracted_at,
    {{ dbt_updated_at() }} as _dbt_updated_at
from orders
