select 1 as day, 10 as cents, 0 as orders
