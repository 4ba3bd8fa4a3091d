select order_id, odd from {{ ref('div_nested') }}
where '/' <> 'a / b'  -- amount / items