SELECT order_id, {{ ratio('amount', 'items') }} AS per_item
FROM {{ ref('orders') }}
