select
    order_id,
    usr_id,
    amount
from {{ ref('orders') }}
