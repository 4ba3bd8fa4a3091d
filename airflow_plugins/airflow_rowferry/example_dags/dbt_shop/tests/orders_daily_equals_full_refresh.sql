-- Rows of orders_daily that a full refresh would not give, and the reverse. Written apart from the model on purpose.
with expected as (

    select
        days.order_date,
        count(orders.order_id) as order_count,
        count(distinct orders.user_id) as unique_customers,
        coalesce(sum(orders.total_cents), 0) as revenue_cents
    from (select distinct order_date from {{ ref('int_order_days') }}) as days
    left join {{ ref('stg_postgres__orders') }} as orders
        on {{ utc_date('orders.created_at') }} = days.order_date
        and orders.deleted_at is null
    group by days.order_date

),

actual as (

    select order_date, order_count, unique_customers, revenue_cents
    from {{ ref('orders_daily') }}

)

(
    select order_date, order_count, unique_customers, revenue_cents from expected
    except
    select order_date, order_count, unique_customers, revenue_cents from actual
)
union all
(
    select order_date, order_count, unique_customers, revenue_cents from actual
    except
    select order_date, order_count, unique_customers, revenue_cents from expected
)
