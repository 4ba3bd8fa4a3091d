select order_id, {{ rounded('amount / items') }} as per_item
from {{ ref('orders') }}
