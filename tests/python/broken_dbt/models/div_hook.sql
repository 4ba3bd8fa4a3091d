{{ config(post_hook="update {{ this }} set amount = amount / items") }}
select order_id, amount, items from {{ ref('orders') }}
