with payments as (

    select
        cast(id as varchar) as payment_id,
        cast(order_id as varchar) as order_id,
        method,
        status,
        lower(trim(currency)) as currency,
        {{ cents('amount') }} as amount_cents,
        {{ known_timestamp('created_at') }} as created_at,
        {{ known_timestamp('updated_at') }} as updated_at,
        deleted_at,
        _extracted_at
    from {{ latest(source('postgres', 'payments')) }}
    where _deleted_at is null

)

select
    {{ generate_surrogate_key(['payment_id']) }} as payment_sk,
    payment_id,
    order_id,
    method,
    status,
    currency,
    amount_cents,
    created_at,
    updated_at,
    deleted_at,
    _extracted_at,
    {{ dbt_updated_at() }} as _dbt_updated_at
from payments
