-- One slow transaction: now() is when it began, so its updated_at is older than what others commit before it.
update orders set status = 'cancelled', updated_at = now()
where id % 1000 = 990;
insert into orders (user_id, status, currency, total_amount, note, created_at, updated_at)
select n, 'confirmed', ' usd', 42.5, 'slow checkout', now(), now()
from generate_series(1, 40) as n;
