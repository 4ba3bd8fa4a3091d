-- The source keeps these timestamps without zone.
with products as (

    select
        cast(id as varchar) as product_id,
        trim(sku) as sku,
        name as product_name,
        category,
        {{ cents('price') }} as price_cents,
        attributes,
        {{ known_timestamp(declared_utc('created_at')) }} as created_at,
        {{ known_timestamp(declared_utc('updated_at')) }} as updated_at,
        {{ declared_utc('deleted_at') }} as deleted_at,
        _extracted_at
    from {{ latest(source('postgres', 'products')) }}
    where _deleted_at is null

)

select
    {{ generate_surrogate_key(['product_id']) }} as product_sk,
    product_id,
    sku,
    product_name,
    category,
    price_cents,
    attributes,
    created_at,
    updated_at,
    deleted_at,
    _extracted_at,
    {{ dbt_updated_at() }} as _dbt_updated_at
from products
