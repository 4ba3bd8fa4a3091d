select id, o.total_amount * 100 as cents
from {{ source('shop', 'payments') }} as o
where o.total_amount > 0
