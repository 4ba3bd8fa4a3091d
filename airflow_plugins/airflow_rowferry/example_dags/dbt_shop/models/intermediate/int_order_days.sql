{#
    Every day each order has ever been on, and when an order of that day last changed.

    Raw holds an order's present created_at only, so the day a moved order LEFT is remembered here and nowhere
    else; that is why a full refresh does not drop this table. When an order changes, all its days are marked with
    the change's _extracted_at. orders_daily keeps its own mark, so nothing is lost when it fails or is not run.

    Reads raw, not staging: an order closed by a hard delete has left staging, and its day must be counted again.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['order_id', 'order_date'],
    on_schema_change='append_new_columns',
    full_refresh=false,
) }}

with orders as (

    select
        cast(id as varchar) as order_id,
        {{ utc_date(known_timestamp('created_at')) }} as order_date,
        coalesce({{ known_timestamp('updated_at') }}, {{ known_timestamp('created_at') }}) as changed_at,
        _extracted_at
    from {{ latest(source('postgres', 'orders')) }}

),

changed as (

    select order_id, order_date, changed_at, _extracted_at
    from orders
    {% if is_incremental() %}
    where _extracted_at > (select coalesce(max(_extracted_at), {{ epoch_zero() }}) from {{ this }})
        or changed_at >= {{ lookback_start() }}
    {% endif %}

),

days as (

    select order_id, order_date, changed_at, _extracted_at
    from changed
    where order_date is not null

    {% if is_incremental() %}
    union

    select changed.order_id, known.order_date, changed.changed_at, changed._extracted_at
    from {{ this }} as known
    inner join changed on changed.order_id = known.order_id
    {% endif %}

)

select
    order_id,
    order_date,
    changed_at,
    _extracted_at,
    {{ dbt_updated_at() }} as _dbt_updated_at
from days
