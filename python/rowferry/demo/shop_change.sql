-- What happens to the shop between two runs; current_setting('shop.round') picks other rows each time.
-- Rows with id % 1000 = 990 are left to shop_late.sql, whose transaction is open meanwhile.

create temporary table shop_round on commit drop as
select current_setting('shop.round')::int % 40 as number, (select max(id) from orders) as last_order;

-- Orders go on their way.
update orders set
    status = case status
        when 'pending' then 'confirmed' when 'confirmed' then 'shipped' when 'shipped' then 'delivered' else 'refunded'
    end,
    updated_at = now()
from shop_round
where orders.id % 100 in (number * 2, number * 2 + 1);

-- Someone corrects prices by hand and does not think of updated_at.
update orders set total_amount = total_amount + 1
from shop_round
where orders.id % 1000 = 900 + number;

-- Orders found to belong to the day before.
update orders set created_at = created_at - interval '1 day', updated_at = now()
from shop_round
where orders.id % 1000 = 850 + number and created_at > to_timestamp(0);

-- Soft deletes.
update orders set deleted_at = now(), updated_at = now()
from shop_round
where orders.id % 500 = 300 + number and deleted_at is null;

-- New orders, one in fifty without updated_at until someone first updates it.
insert into orders (user_id, status, currency, total_amount, note, payload, created_at, updated_at)
select
    1 + n % 1000, 'pending', untidy_currency(random()), round((3 + 400 * random())::numeric, 2), 'neu – новий – 新 ' || n,
    jsonb_build_object('from', 'web', 'round', number), now() - interval '1 second' * random(),
    case when n % 50 > 0 then now() end
from shop_round, generate_series(1, greatest(last_order / 100, 10)) as n;

-- Orders taken offline 3 and 30 days ago that arrive only now, with the times they were taken at.
insert into orders (user_id, status, currency, total_amount, note, created_at, updated_at)
select 1 + n, 'delivered', 'EUR ', 19.99, 'taken offline', taken, taken
from unnest(array[now() - interval '3 days', now() - interval '30 days']) as taken, generate_series(1, 50) as n;

insert into order_items (order_id, line_number, product_id, quantity, unit_price, created_at, updated_at)
select orders.id, line, 1 + orders.id % 10, 1 + line, 9.95, orders.created_at, orders.updated_at
from shop_round
join orders on orders.id > last_order
cross join lateral generate_series(1, (orders.id % 3)::int) as line;

insert into payments (order_id, method, status, currency, amount, created_at, updated_at)
select orders.id, 'card', 'paid', orders.currency, orders.total_amount, orders.created_at, orders.updated_at
from shop_round
join orders on orders.id > last_order
where orders.id % 3 = 0;

update payments set status = 'returned', updated_at = now()
from shop_round
where payments.id % 200 = number;

-- Users move, rename themselves and leave; some move every time.
update users set country = (array['PT', 'JP', 'NO', 'CA'])[1 + number % 4], full_name = full_name || ' ✈', updated_at = now()
from shop_round
where users.id % 100 = number or users.id % 1000 = 700;
update users set deleted_at = now(), updated_at = now()
from shop_round
where users.id % 1000 = 500 + number;

update products set price = price + 0.5, updated_at = now() at time zone 'UTC'
from shop_round
where products.id % 20 = number;
