select
    day,
    cents / orders as average_cents
from (select 1 as day, 10 as cents, 0 as orders) as days
