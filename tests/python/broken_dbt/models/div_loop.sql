select
    order_id
    {% for c in ['items', 'order_id'] %}
    , amount / {{ c }} as per_{{ c }}
    {% endfor %}
from {{ ref('orders') }}
