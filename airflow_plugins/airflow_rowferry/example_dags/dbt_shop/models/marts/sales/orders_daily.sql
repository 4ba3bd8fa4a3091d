{#
    Orders by UTC day. A run counts each affected day again, whole. Affected is a day that an order changed since
    this table's last run is on or was on (int_order_days knows both), and every day of an order that lies inside
    the lookback. A day that lost its last order stays, as zeros.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='order_date',
    on_schema_change='append_new_columns',
) }}

with days as (

    select
        order_date,
        max(changed_at) as changed_at,
        max(_extracted_at) as _extracted_at
    from {{ ref('int_order_days') }}
    group by order_date

),

affected as (

    select order_date, _extracted_at
    from days
    {% if is_incremental() %}
    where _extracted_at > (select coalesce(max(_extracted_at), {{ epoch_zero() }}) from {{ this }})
        or changed_at >= {{ lookback_start() }}
    {% endif %}

),

orders as (

    select
        {{ utc_date('created_at') }} as order_date,
        order_id,
        user_id,
        total_cents
    from {{ ref('stg_postgres__orders') }}
    where deleted_at is null
        and created_at is not null

),

counted as (

    select
        order_date,
        count(order_id) as order_count,
        count(distinct user_id) as unique_customers,
        sum(total_cents) as revenue_cents
    from orders
    where order_date in (select order_date from affected)
    group by order_date

),

filled as (

    select
        affected.order_date,
        cast(coalesce(counted.order_count, 0) as bigint) as order_count,
        cast(coalesce(counted.unique_customers, 0) as bigint) as unique_customers,
        cast(coalesce(counted.revenue_cents, 0) as bigint) as revenue_cents,
        affected._extracted_at
    from affected
    left join counted on counted.order_date = affected.order_date

)

select
    order_date,
    order_count,
    unique_customers,
    revenue_cents,
    -- NULL for a day without orders
    cast(round({{ safe_divide('cast(revenue_cents as numeric(38, 4))', 'order_count') }}) as bigint) as avg_order_value_cents,
    _extracted_at,
    {{ dbt_updated_at() }} as _dbt_updated_at
from filled
