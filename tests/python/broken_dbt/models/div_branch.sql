select order_id, {{ share('amount', 'items') }} as per_item, {{ share('amount', 'user_id', safe=true) }} as per_user
from {{ ref('orders') }}
