with base as (

    select
        order_id,
        items,
        amount / 2 as half,
        case when items > 0 then amount / items end as guarded
    from {{ ref('orders') }}

),

rates as (

    select
        order_id,
        half / nullif(items, 0) as also_guarded,
        half / (items + 1000) as hardly,
        sum(half) over (partition by order_id) / count(case when items > 9 then 1 end) over (partition by order_id) as rate
    from base

)

select order_id, also_guarded, hardly, rate from rates
