{{ config(tags=['a / b']) }}

select
    user_id,
    sum(amount) / count(status) as per_status,
    sum(amount) / 7 as weekly
from {{ ref('orders') }}
group by user_id
